package probe

import (
	"net/netip"
	"slices"
	"time"

	"weft/state"
)

// Target is a node to be probed.
type Target struct {
	Node    string
	Address netip.Addr
	// Endpoints are those on the node that serve TCP, sorted, each once. They may
	// be none.
	Endpoints []netip.AddrPort
}

// Targets are the nodes of a State that matter: those that have endpoints of a
// steered ServicePort, and the own node, sorted by name. Endpoints that are
// drained are not connected to, for they may be about to end.
func Targets(st *state.State) []Target {
	serving := serving(st)
	var targets []Target
	for _, n := range st.Nodes {
		if endpoints, ok := serving[n.Name]; ok {
			slices.SortFunc(endpoints, netip.AddrPort.Compare)
			targets = append(targets, Target{n.Name, n.Address, slices.Compact(endpoints)})
		}
	}
	return targets
}

// serving has for each node that matters its endpoints that can be connected to.
func serving(st *state.State) map[string][]netip.AddrPort {
	serving := map[string][]netip.AddrPort{st.Node: nil}
	for _, p := range st.ServicePorts {
		if !p.Steered() {
			continue
		}
		for _, e := range p.Endpoints {
			all := serving[e.Node]
			if p.Protocol == state.TCP {
				all = append(all, e.AddrPort())
			}
			serving[e.Node] = all
		}
	}
	return serving
}

// DefaultInterval is the time between two rounds for a node.
const DefaultInterval = 5 * time.Second

// Interval is the time between two rounds for each of n targets: base, or as long
// as 40 rounds a second take. base is more than 0.
func Interval(base time.Duration, n int) time.Duration {
	return max(base, time.Duration(n)*time.Second/40)
}
