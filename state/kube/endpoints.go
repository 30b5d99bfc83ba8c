package kube

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"

	"weft/state"
)

// endpoint is an address and port of a slice.
type endpoint struct {
	address netip.Addr
	text    string // of the address, as the slice has it; empty if that is as weft writes it
	port    int32
	node    string
	rank    rank
}

// rank says whether an endpoint serves.
type rank uint8

const (
	silent    rank = iota
	finishing      // terminating and still serving: for want of better ones
	ready
)

// rankOf reads the conditions as the API defines them: what is not said is
// ready, serving and not terminating.
func rankOf(c *discoveryv1.EndpointConditions) rank {
	switch {
	case c.Ready == nil || *c.Ready:
		return ready
	case (c.Serving == nil || *c.Serving) && c.Terminating != nil && *c.Terminating:
		return finishing
	}
	return silent
}

// collect gathers the endpoints of a port from slices of the families, each once
// and sorted. The port's number is the slice's, which may be another in each:
// only the name and protocol are the Service's. While an endpoint moves from one
// slice to another it can be in both: then it is as good as the better one says.
func collect(port *servicePort, from []*keptSlice, families [2]bool) (all []endpoint) {
	for _, slice := range from {
		number := slice.number(port)
		if number == 0 || !slice.isOf(families) {
			continue
		}
		for i := range slice.endpoints {
			e := &slice.endpoints[i]
			all = append(all, endpoint{address: e.address, text: slice.text(i), port: number, node: e.node, rank: e.rank})
		}
	}
	slices.SortFunc(all, func(a, b endpoint) int {
		return cmp.Or(a.address.Compare(b.address), cmp.Compare(a.text, b.text), cmp.Compare(a.port, b.port),
			cmp.Compare(b.rank, a.rank), cmp.Compare(b.node, a.node))
	})
	return slices.CompactFunc(all, func(a, b endpoint) bool { return a.address == b.address && a.text == b.text && a.port == b.port })
}

// name is the address for messages.
func (e *endpoint) name() string { return cmp.Or(e.text, e.address.String()) }

// serving picks the endpoints that serve, family by family, by kube-proxy's rule:
// those that are ready, and if there is none, those that are terminating and
// still serving.
func serving(all []endpoint) []endpoint {
	var best [2]rank
	for i := range all {
		f := family(all[i].address)
		best[f] = max(best[f], all[i].rank)
	}
	return slices.DeleteFunc(all, func(e endpoint) bool {
		return e.rank == silent || e.rank != best[family(e.address)]
	})
}

// invalid is what is wrong with the first endpoint that cannot be one.
func (s *surroundings) invalid(all []endpoint) string {
	for i := range all {
		a := all[i].address
		what := ""
		switch {
		case !a.IsValid():
			what = "not an IP address"
		case a.Is4In6() || a.Zone() != "":
			what = "not an address in its plain form"
		case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			what = "not a unicast address"
		case a.IsLoopback():
			what = "a loopback address"
		case a.IsLinkLocalUnicast():
			what = "a link-local address"
		case all[i].port < 1 || all[i].port > 65535:
			return fmt.Sprintf("endpoint %s: got the port %d, expected 1 to 65535", a, all[i].port)
		case slices.ContainsFunc(s.serviceRanges, func(p netip.Prefix) bool { return p.Contains(a) }):
			what = "an address of the Service range"
		}
		if what != "" {
			return fmt.Sprintf("endpoint %s: %s", all[i].name(), what)
		}
	}
	return ""
}

// weigh makes endpoints with base weights and the shares that follow from them.
func (s *surroundings) weigh(all []endpoint, weights weights) ([]state.Endpoint, string) {
	made := make([]state.Endpoint, len(all))
	var most, sum [2]float64
	for i := range all {
		made[i] = state.Endpoint{Address: all[i].address, Port: uint16(all[i].port), Node: all[i].node}
		made[i].Weight = weights.of(&made[i], s.node)
		f := family(all[i].address)
		most[f] = max(most[f], weight(&made[i]))
	}
	if most[0] == 0 && most[1] == 0 {
		return nil, "all endpoints are drained"
	}
	// A family of which all endpoints are drained has nowhere to go: it is left out.
	made = slices.DeleteFunc(made, func(e state.Endpoint) bool { return most[family(e.Address)] == 0 })
	for i := range made {
		f := family(made[i].Address)
		sum[f] += weight(&made[i]) / most[f] // in parts of the greatest: a sum could be too large for a float64
	}
	for i := range made {
		f := family(made[i].Address)
		made[i].Share = weight(&made[i]) / most[f] / sum[f]
	}
	return made, ""
}

func weight(e *state.Endpoint) float64 {
	if e.Weight == nil {
		return 1
	}
	return *e.Weight
}
