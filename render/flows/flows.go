// Package flows takes stale UDP flows out of the kernel's connection tracking.
//
// Translation is decided with the first packet of a flow and remembered for as
// long as packets keep coming, so a client that sends to a NodePort without a
// pause would send to an endpoint that is gone for ever: new rules do not change
// an old flow. TCP needs no such care, because a dead endpoint ends its
// connections by itself, and a live connection may outlive its endpoint's
// readiness (a graceful shutdown). So TCP is never touched.
//
// [Stale] says which flows have lost their endpoint between two states, and
// [Delete] deletes those and no other, entry by entry. The order matters: first
// the rules, then Delete. The other way round, a client that never pauses would
// be sent to the endpoint that is gone once more, by the old rules. The first
// packet of a flow that was on its way through the old rules when they were
// replaced is not in the table yet, and escapes if it takes longer than loading
// and proving the new ones does; the caller may call Delete once more, with the
// same flows, some time later.
//
// # What is stale
//
// A flow is stale when weft steered its NodePort and its endpoint is no endpoint
// of that NodePort any longer: also when it was the last one, and when the
// NodePort was deleted or is skipped now, so that kube-proxy serves it. An
// endpoint that is listed still keeps its flows, whatever its share (a drained
// one takes no new flows and finishes those that it has) and whether or not the
// ServicePort is skipped. What leaves a ServicePort while it is skipped is not
// weft's: kube-proxy, which serves it, cleans up after itself.
//
// # Over a restart
//
// A start is no reason to delete anything: without a state before, nothing is
// stale. An endpoint that left while weft was down can only be found by the last
// state that was in force before, so a caller that kept it (a history of what
// was loaded) should give that one to the first Stale. Without it, such a flow
// lasts until its client pauses for longer than
// /proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream (two minutes by
// default).
package flows

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"weft/state"
)

// Flow describes the flows to a NodePort that one endpoint answered: many
// entries of the kernel's table, from any client.
type Flow struct {
	// Protocol is always UDP.
	Protocol state.Protocol
	// Addresses are the node's addresses that clients sent to, sorted, all of
	// the endpoint's family. Flows share the slice: do not change it.
	Addresses []netip.Addr
	// NodePort is the port that clients sent to.
	NodePort uint16
	// Endpoint is where the answers came from.
	Endpoint netip.AddrPort
}

func (f Flow) String() string {
	to := make([]string, len(f.Addresses))
	for i, a := range f.Addresses {
		to[i] = netip.AddrPortFrom(a, f.NodePort).String()
	}
	return fmt.Sprintf("%s %s to %s", f.Protocol, strings.Join(to, ", "), f.Endpoint)
}

func compare(a, b Flow) int {
	return cmp.Or(cmp.Compare(a.NodePort, b.NodePort), a.Endpoint.Compare(b.Endpoint))
}

// place is an endpoint of a NodePort. The ServicePort's name is no part of it: a
// Service that is deleted and made anew with the same NodePort and endpoints has
// lost no flow.
type place struct {
	nodePort uint16
	endpoint netip.AddrPort
}

// Stale returns the flows that lost their endpoint from one state to the next,
// sorted by nodePort and endpoint. before is what the kernel's rules did until
// now, not what the state file said: give the last state that was loaded, or nil
// if there is none, for which nothing is stale. With an after of nil (weft's
// rules were removed) every endpoint lives on, for kube-proxy may send to it.
func Stale(before, after *state.State) []Flow {
	if before == nil || after == nil || before == after {
		return nil
	}
	gone := leavers(before, after)
	v4, v6 := families(before.Addresses)
	var flows []Flow
	for p := range gone {
		addresses := v6
		if p.endpoint.Addr().Is4() {
			addresses = v4
		}
		if len(addresses) > 0 {
			flows = append(flows, Flow{state.UDP, addresses, p.nodePort, p.endpoint})
		}
	}
	slices.SortFunc(flows, compare)
	return flows
}

// leavers are the places of before that after does not have. ServicePorts that
// both states share cost a look at a pointer: see [state.State]. None of these has a place
// that left, since a state has each nodePort of a protocol once.
func leavers(before, after *state.State) map[place]bool {
	gone := map[place]bool{}
	left, came := state.Difference(before.ServicePorts, after.ServicePorts)
	for _, p := range left {
		if p.Protocol == state.UDP && p.Steered() {
			for _, e := range p.Endpoints {
				gone[place{p.NodePort, e.AddrPort()}] = true
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	for _, p := range came {
		if p.Protocol == state.UDP {
			for _, e := range p.Endpoints {
				delete(gone, place{p.NodePort, e.AddrPort()})
			}
		}
	}
	return gone
}

// families splits addresses by family, each sorted.
func families(addresses []netip.Addr) (v4, v6 []netip.Addr) {
	for _, a := range addresses {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	slices.SortFunc(v4, netip.Addr.Compare)
	slices.SortFunc(v6, netip.Addr.Compare)
	return v4, v6
}
