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
	// Usual is the time up to which an answer is no news, so that the round may end;
	// 0 while that is not known. See [Estimate.Usual].
	Usual time.Duration
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
			// Most may be there many times: without the room of those.
			targets = append(targets, Target{Node: n.Name, Address: n.Address, Endpoints: slices.Clone(slices.Compact(endpoints))})
		}
	}
	return targets
}

// haveSameTargets reports whether two states cannot have other targets than each
// other, after a look at what did not change alone: a watcher asks each second, and
// to sort the endpoints of a large cluster takes 10 ms.
func haveSameTargets(a, b *state.State) bool {
	return a.Node == b.Node && slices.Equal(a.ServicePorts, b.ServicePorts) &&
		slices.EqualFunc(a.Nodes, b.Nodes, func(a, b state.Node) bool { return a.Name == b.Name && a.Address == b.Address })
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
