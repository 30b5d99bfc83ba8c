package flows_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"weft/render/flows"
	"weft/state"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func endpoints(share float64, addrPorts ...string) []state.Endpoint {
	var list []state.Endpoint
	for _, s := range addrPorts {
		ap := netip.MustParseAddrPort(s)
		list = append(list, state.Endpoint{Address: ap.Addr(), Port: ap.Port(), Share: share})
	}
	return list
}

func udp(nodePort uint16, eps ...string) *state.ServicePort {
	return &state.ServicePort{Namespace: "ns", Name: "dns", Protocol: state.UDP, NodePort: nodePort, Endpoints: endpoints(0.5, eps...)}
}

func with(p *state.ServicePort, change func(*state.ServicePort)) *state.ServicePort {
	change(p)
	return p
}

func stateOf(ports ...*state.ServicePort) *state.State {
	return &state.State{Addresses: []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2"), addr("2001:db8::1")}, ServicePorts: ports}
}

func skip(p *state.ServicePort) { p.Skipped = "no reason" }

func TestStale(t *testing.T) {
	v4 := []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2")}
	v6 := []netip.Addr{addr("2001:db8::1")}
	stale := func(to []netip.Addr, nodePort uint16, endpoint string) flows.Flow {
		return flows.Flow{Protocol: state.UDP, Addresses: to, NodePort: nodePort, Endpoint: netip.MustParseAddrPort(endpoint)}
	}
	a, b, a6 := "10.0.0.1:53", "10.0.0.2:53", "[fd00::1]:53"
	same := udp(30000, a, b)
	cases := []struct {
		name          string
		before, after *state.State
		want          []flows.Flow
	}{
		{"a start", nil, stateOf(udp(30000, a)), nil},
		{"an end", stateOf(udp(30000, a)), nil, nil},
		{"no change", stateOf(same), stateOf(same), nil},
		{"equal ServicePorts", stateOf(udp(30000, a, b)), stateOf(udp(30000, a, b)), nil},
		{"one leaves", stateOf(udp(30000, a, b)), stateOf(udp(30000, b)), []flows.Flow{stale(v4, 30000, a)}},
		{"one of IPv6 leaves", stateOf(udp(30000, a, a6)), stateOf(udp(30000, a)), []flows.Flow{stale(v6, 30000, a6)}},
		{"the last leaves", stateOf(udp(30000, a)), stateOf(with(udp(30000), skip)), []flows.Flow{stale(v4, 30000, a)}},
		{"deleted", stateOf(udp(30001, a), udp(30000, b, a)), stateOf(), []flows.Flow{stale(v4, 30000, a), stale(v4, 30000, b), stale(v4, 30001, a)}},
		{"skipped, its endpoints unknown", stateOf(udp(30000, a, b)), stateOf(with(udp(30000), skip)), []flows.Flow{stale(v4, 30000, a), stale(v4, 30000, b)}},
		{"skipped, its endpoints live", stateOf(udp(30000, a, b)), stateOf(with(udp(30000, b), skip)), []flows.Flow{stale(v4, 30000, a)}},
		{"leaves while skipped", stateOf(with(udp(30000, a, b), skip)), stateOf(udp(30000, b)), nil},
		{"drained", stateOf(udp(30000, a, b)), stateOf(with(udp(30000, b, a), func(p *state.ServicePort) { p.Endpoints[0].Share = 0 })), nil},
		{"a drained one leaves", stateOf(with(udp(30000, a, b), func(p *state.ServicePort) { p.Endpoints[0].Share = 0 })), stateOf(udp(30000, b)), []flows.Flow{stale(v4, 30000, a)}},
		{"another port of the address", stateOf(udp(30000, a, "10.0.0.1:54")), stateOf(udp(30000, a)), []flows.Flow{stale(v4, 30000, "10.0.0.1:54")}},
		{"another NodePort keeps it", stateOf(udp(30000, a), udp(30001, a)), stateOf(udp(30001, a)), []flows.Flow{stale(v4, 30000, a)}},
		{"another nodePort for the same", stateOf(udp(30000, a)), stateOf(udp(30001, a)), []flows.Flow{stale(v4, 30000, a)}},
		{"made anew by another name", stateOf(udp(30000, a)), stateOf(with(udp(30000, a), func(p *state.ServicePort) { p.Name = "other" })), nil},
		{"TCP", stateOf(with(udp(30000, a), func(p *state.ServicePort) { p.Protocol = state.TCP })), stateOf(), nil},
		{"SCTP", stateOf(with(udp(30000, a), func(p *state.ServicePort) { p.Protocol = state.SCTP })), stateOf(), nil},
		{"TCP of the same place stays", stateOf(udp(30000, a)), stateOf(with(udp(30000, a), func(p *state.ServicePort) { p.Protocol = state.TCP })), []flows.Flow{stale(v4, 30000, a)}},
		{"no address of the family", &state.State{Addresses: v6, ServicePorts: []*state.ServicePort{udp(30000, a)}}, stateOf(), nil},
		{"the addresses of before", &state.State{Addresses: v4[:1], ServicePorts: []*state.ServicePort{udp(30000, a)}}, stateOf(), []flows.Flow{stale(v4[:1], 30000, a)}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := flows.Stale(c.before, c.after)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
				t.Errorf("Stale (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlowString(t *testing.T) {
	got := flows.Stale(stateOf(udp(30000, "10.0.0.1:53", "[fd00::1]:53")), stateOf())
	want := []string{"udp 192.0.2.1:30000, 192.0.2.2:30000 to 10.0.0.1:53", "udp [2001:db8::1]:30000 to [fd00::1]:53"}
	for i, f := range got {
		if f.String() != want[i] {
			t.Errorf("got %q, want %q", f, want[i])
		}
	}
}

// Whatever happens to the ServicePorts, stale is what was steered and is listed
// no more.
func TestStaleIsADifference(t *testing.T) {
	type place struct {
		nodePort uint16
		endpoint netip.AddrPort
	}
	places := func(st *state.State, count func(*state.ServicePort) bool) map[place]bool {
		set := map[place]bool{}
		for _, p := range st.ServicePorts {
			for _, e := range p.Endpoints {
				if p.Protocol == state.UDP && count(p) {
					set[place{p.NodePort, e.AddrPort()}] = true
				}
			}
		}
		return set
	}
	rapid.Check(t, func(t *rapid.T) {
		before := anyState(t, nil)
		after := anyState(t, before.ServicePorts)
		want := places(before, (*state.ServicePort).Steered)
		for p := range places(after, func(*state.ServicePort) bool { return true }) {
			delete(want, p)
		}
		got := map[place]bool{}
		for _, f := range flows.Stale(before, after) {
			got[place{f.NodePort, f.Endpoint}] = true
		}
		if !maps.Equal(want, got) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// anyState has some of the old ServicePorts and some that it makes: as in every state
// that was checked, none of them has the nodePort of another.
func anyState(t *rapid.T, old []*state.ServicePort) *state.State {
	st := stateOf()
	if len(old) > 0 {
		st.ServicePorts = rapid.SliceOfDistinct(rapid.SampledFrom(old), rapid.ID).Draw(t, "kept")
	}
	for range rapid.IntRange(0, 3).Draw(t, "made") {
		p := udp(rapid.Uint16Range(30000, 30003).Draw(t, "nodePort"))
		p.Protocol = rapid.SampledFrom([]state.Protocol{state.UDP, state.UDP, state.TCP}).Draw(t, "protocol")
		p.Skipped = rapid.SampledFrom([]string{"", "", "some reason"}).Draw(t, "skipped")
		all := []string{"10.0.0.1:53", "10.0.0.2:53", "10.0.0.2:54", "[fd00::1]:53"}
		p.Endpoints = endpoints(0, rapid.SliceOfDistinct(rapid.SampledFrom(all), rapid.ID).Draw(t, "endpoints")...)
		if !slices.ContainsFunc(st.ServicePorts, func(q *state.ServicePort) bool { return q.Protocol == p.Protocol && q.NodePort == p.NodePort }) {
			st.ServicePorts = append(st.ServicePorts, p)
		}
	}
	slices.SortFunc(st.ServicePorts, (*state.ServicePort).Compare)
	return st
}
