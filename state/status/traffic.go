package status

import (
	"net/netip"
	"time"

	"weft/state"
)

// Traffic is where new connections through this node's NodePorts really went,
// beside where the shares asked for.
type Traffic struct {
	// Since is the beginning of the time that it is about, the last five to ten
	// minutes; zero while nothing is counted.
	Since time.Time `json:"since,omitzero" yaml:"since,omitempty"`
	// Unknown says why nothing is counted now; empty if it is.
	Unknown string `json:"unknown,omitempty" yaml:"unknown,omitempty"`
	// Connections are those of that time, through all NodePorts.
	Connections uint64 `json:"connections" yaml:"connections"`

	// Endpoints has what arrived in that time, Totals since an endpoint is known;
	// both leave out ServicePorts without a connection. Nodes has totals that only
	// grow.
	Endpoints map[Place]Arrivals  `json:"-" yaml:"-"`
	Totals    map[Place]Arrivals  `json:"-" yaml:"-"`
	Nodes     map[string]Arrivals `json:"-" yaml:"-"`
}

// Place is an endpoint behind a NodePort.
type Place struct {
	Protocol state.Protocol
	NodePort uint16
	Endpoint netip.AddrPort
}

// Arrivals are connections.
type Arrivals struct {
	// Connections are those that arrived.
	Connections uint64
	// Asked is how many of those to the same ServicePort should have, by the
	// shares that were in force as each came.
	Asked float64
}

func (a *Arrivals) add(b Arrivals) {
	a.Connections += b.Connections
	a.Asked += b.Asked
}

// Seen is what arrived beside what was asked for.
type Seen struct {
	// Connections are those that arrived.
	Connections uint64 `json:"connections" yaml:"connections"`
	// Share is their part of all those that it is compared with, Asked the part
	// that the shares asked for. Both are 0 to 1, and of the same time: shares that
	// changed meanwhile count for as many connections as came while they were so.
	Share float64 `json:"share" yaml:"share"`
	Asked float64 `json:"asked" yaml:"asked"`
}

// seen is a part of a whole; nil if that is nothing.
func seen(part Arrivals, whole uint64) *Seen {
	if whole == 0 {
		return nil
	}
	return &Seen{part.Connections, float64(part.Connections) / float64(whole), part.Asked / float64(whole)}
}

// Counting gives the Recorder what counts connections.
func (r *Recorder) Counting(count func() Traffic) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counting = count
}

// Traffic is what was counted up to now; nil if nothing counts. Its work grows
// with the endpoints that had connections.
func (r *Recorder) Traffic() *Traffic {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	count := r.counting
	r.mu.Unlock()
	if count == nil {
		return nil
	}
	traffic := count()
	return &traffic
}

// enter adds what arrived to what the shares ask for.
func (t *Traffic) enter(nodes []Node, ports []ServicePort) {
	if t == nil {
		return
	}
	all, byNode := uint64(0), map[string]*Arrivals{}
	for i := range ports {
		if ports[i].Skipped == "" {
			all += t.enterPort(&ports[i], byNode)
		}
	}
	for i := range nodes {
		if a := byNode[nodes[i].Name]; a != nil {
			nodes[i].Seen = seen(*a, all)
		}
	}
}

// enterPort enters what arrived at the endpoints of a ServicePort, and how many
// there were. The shares of each address family are for themselves.
func (t *Traffic) enterPort(p *ServicePort, byNode map[string]*Arrivals) (all uint64) {
	arrived := make([]Arrivals, len(p.Endpoints))
	families := map[bool]uint64{}
	for i, e := range p.Endpoints {
		arrived[i] = t.Endpoints[Place{p.Protocol, p.NodePort, e.Address}]
		families[e.Address.Addr().Is4()] += arrived[i].Connections
	}
	for i := range p.Endpoints {
		e := &p.Endpoints[i]
		e.Seen = seen(arrived[i], families[e.Address.Addr().Is4()])
		if byNode[e.Node] == nil {
			byNode[e.Node] = &Arrivals{}
		}
		byNode[e.Node].add(arrived[i])
		all += arrived[i].Connections
	}
	p.Connections = all
	return all
}
