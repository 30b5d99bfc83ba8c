package state

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// APIVersion is the version of the state file that this package writes.
// A file of a newer version is refused; see [Decode].
const APIVersion = "weft/v1"

// State is what weft knows at one moment: where NodePort traffic is taken,
// which ServicePorts there are, and what was measured. It is the whole content
// of a state file.
//
// A State that was published (decoded, written, handed to a renderer) is never
// changed again, and neither are the ServicePorts that it points to: two States
// may share a *ServicePort, and whoever holds two equal pointers may conclude
// that nothing about that ServicePort changed.
type State struct {
	// Node is the name of the node that the state is about.
	Node string
	// Generation grows by one with each change that rules depend on. A new
	// measurement alone is no such change.
	Generation uint64
	// Written is when the writer last vouched for the state. It is zero in a
	// state written by hand, which never ages.
	Written time.Time
	// Addresses are the node's addresses where NodePort traffic is taken, IPv4
	// and IPv6, sorted.
	Addresses []netip.Addr
	// Nodes are the nodes of the cluster that weft knows, sorted by name.
	Nodes []Node
	// ServicePorts are sorted by namespace, name, port, protocol and nodePort.
	ServicePorts []*ServicePort
}

// Node is a node of the cluster with what was measured about it.
type Node struct {
	Name    string
	Address netip.Addr
	// Cores is how many processors the node has; 0 while it is not known.
	Cores int
	// Latency is nil while it is not known. It is never 0 for unknown.
	Latency *Latency
	// CPU is nil while it is not known. A ratio of 0 is an idle node.
	CPU *CPU
	// Unreachable is since when the node answers no probe. It is zero for a node
	// that answers, and for one that nobody probes.
	Unreachable time.Time
}

// Latency is the time that a node needs to answer.
type Latency struct {
	// Seconds is the round-trip time, greater than 0 and finite.
	Seconds  float64
	Measured time.Time
	// Source says what was measured: peer, tcp, http or icmp. It is a DNS label,
	// and empty if it is not known.
	Source string
}

// CPU is how busy a node is.
type CPU struct {
	// Ratio is the part of all cores that is busy, 0 to 1.
	Ratio    float64
	Measured time.Time
	// Source says who measured: peer (the node's own agent) or prometheus. It is
	// a DNS label, and empty if it is not known.
	Source string
}

// ServicePort is one port of a Service that has a nodePort.
type ServicePort struct {
	Namespace string
	Name      string
	// Port is the port's name, which may be empty.
	Port     string
	Protocol Protocol
	NodePort uint16
	// Policy is how the shares are chosen. It is empty where the ServicePort
	// names none and nothing chose one for it yet.
	Policy Policy
	// Affinity is what keeps the connections of a client together. It is empty
	// where each connection goes anywhere.
	Affinity Affinity
	// Skipped says why weft holds no rules for this ServicePort, so that
	// kube-proxy serves it. It is empty for one that weft steers.
	Skipped string
	// Held are the reasons why the shares are not the targets of the Factors,
	// sorted, each once.
	Held []Hold
	// Factors are what the shares were made of, one for each node that has
	// endpoints, sorted by node and address. They are empty where no policy was
	// at work. Their figures may lag a little behind what the shares were made
	// of, so that a measurement that changes nothing leaves a ServicePort as it is.
	Factors []Factor
	// Endpoints are sorted by address and port. The shares of each address
	// family sum to 1 unless the ServicePort is skipped.
	Endpoints []Endpoint
}

// Endpoint is an address and port that serves a ServicePort.
type Endpoint struct {
	Address netip.Addr
	Port    uint16
	// Node is the name of the node that the endpoint runs on; empty if unknown.
	Node string
	// Weight is how much the endpoint should get beside the others before
	// anything was measured, 0 or more; nil is 1, and 0 drains it.
	Weight *float64
	// Share is the part of new connections that the endpoint should get, 0 to 1
	// of its address family. 0 is a drained endpoint.
	Share float64
}

// Protocol is a transport protocol as nft and Kubernetes (in lower case) name it.
type Protocol string

// The protocols that a NodePort can have.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

// Affinity is what keeps the connections of a client together.
type Affinity string

// ClientIP sends all connections from one address to one endpoint, for as long as
// the endpoints and shares stay as they are.
const ClientIP Affinity = "clientIP"

// Known reports whether a is an affinity.
func (a Affinity) Known() bool { return a == ClientIP }

// ID names the ServicePort as kube-proxy does: namespace/name:port, or
// namespace/name where the port has no name.
func (p *ServicePort) ID() string {
	if p.Port == "" {
		return p.Namespace + "/" + p.Name
	}
	return p.Namespace + "/" + p.Name + ":" + p.Port
}

// Steered reports whether weft should hold rules for the ServicePort.
func (p *ServicePort) Steered() bool { return p.Skipped == "" }

// Compare orders ServicePorts as a state file lists them.
func (p *ServicePort) Compare(q *ServicePort) int {
	for _, c := range []int{
		strings.Compare(p.Namespace, q.Namespace),
		strings.Compare(p.Name, q.Name),
		strings.Compare(p.Port, q.Port),
		strings.Compare(string(p.Protocol), string(q.Protocol)),
		int(p.NodePort) - int(q.NodePort),
	} {
		if c != 0 {
			return c
		}
	}
	return 0
}

// AsksTheSame reports whether two records ask for the same rules. What only
// explains a share is no part of it.
func (p *ServicePort) AsksTheSame(q *ServicePort) bool {
	return p.Compare(q) == 0 && p.Affinity == q.Affinity && p.Steered() == q.Steered() &&
		slices.EqualFunc(p.Endpoints, q.Endpoints, sameShare)
}

func sameShare(a, b Endpoint) bool {
	return a.Address == b.Address && a.Port == b.Port && a.Node == b.Node && a.Share == b.Share
}

// AddrPort is the endpoint's address and port.
func (e Endpoint) AddrPort() netip.AddrPort { return netip.AddrPortFrom(e.Address, e.Port) }
