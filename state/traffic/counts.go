package traffic

import (
	"net/netip"
	"time"

	"weft/state"
)

// NodePort is a port of the node.
type NodePort struct {
	Protocol state.Protocol
	Port     uint16
}

// Counts are the connections that went through this node up to a moment.
type Counts struct {
	// At is that moment.
	At time.Time
	// Change is another number after any change of the rest, never 0.
	Change uint64
	// By has the counts by NodePort and by the endpoint that connections were sent
	// to. Endpoints that never had one are left out. Nobody changes it: it is handed out
	// again until something is other.
	By map[NodePort]map[netip.AddrPort]Count
}

// Count are the connections to one endpoint through one NodePort. All but Young and
// Open only grow, from when the endpoint is known to weft.
type Count struct {
	// Opened are all that were opened; of UDP, flows.
	Opened uint64
	// Followed are those of them that were followed, chosen without regard to the
	// endpoint: all of TCP, unless a NodePort has more than 200 a second, and none
	// of other protocols. The rest is about these alone.
	Followed uint64
	// Failed were refused, or not accepted within 3.5 s.
	Failed uint64
	// Young are open now and not yet [Youth] old. One that either side has closed
	// is not open. Open are those of any age; where very many are kept open, as
	// many of them as are followed.
	Young, Open int
	// Seconds is how long they were open while they were young, all together. Of
	// each it is known within a half at worst.
	Seconds float64
}
