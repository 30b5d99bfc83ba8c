package weight

import (
	"net/netip"
	"time"

	"weft/state"
)

// Connections are what conntrack shows of the connections through this node's
// NodePorts at one moment. Only those that are being opened or are established
// are open: an entry in TIME_WAIT is not.
type Connections struct {
	// At is when they were counted. Two with the same time are the same.
	At time.Time
	// Exact says that Seconds is known, from events. Otherwise the gauge Young is
	// taken for all of the time since the one before.
	Exact bool
	// Change is another number after any change of the Counts; 0 where that is not
	// known. Who gives it comes again as soon as connections come after a pause, so that
	// meanwhile nobody need look.
	Change uint64
	// Counts are by NodePort and by the endpoint that connections were sent to.
	Counts map[NodePort]map[netip.AddrPort]Count
}

// NodePort is a port of the node that leads to a ServicePort.
type NodePort struct {
	Protocol state.Protocol
	Port     uint16
}

// Count are the connections of one endpoint through one NodePort.
type Count struct {
	// Young are open now and not yet [Youth] old.
	Young int
	// Open are open now, of any age.
	Open int
	// Opened, Failed and Seconds only grow. Failed connections were refused, or
	// given up without an answer. Seconds is how long connections were open while
	// they were young, all together.
	Opened, Failed uint64
	Seconds        float64
}

// Youth is the age from which on a connection says no more about how long a
// request takes: it is one that is kept open.
const Youth = 10 * time.Second
