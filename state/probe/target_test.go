package probe_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/state"
	"weft/state/probe"
)

func addr(s string) netip.Addr         { return netip.MustParseAddr(s) }
func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func endpoint(at, node string) state.Endpoint {
	a := addrPort(at)
	return state.Endpoint{Address: a.Addr(), Port: a.Port(), Node: node}
}

func TestTargets(t *testing.T) {
	st := &state.State{
		Node: "own",
		Nodes: []state.Node{
			{Name: "a", Address: addr("10.0.0.1")},
			{Name: "b", Address: addr("10.0.0.2")},
			{Name: "idle", Address: addr("10.0.0.3")},
			{Name: "own", Address: addr("10.0.0.4")},
			{Name: "skipped", Address: addr("10.0.0.5")},
			{Name: "u", Address: addr("10.0.0.6")},
		},
		ServicePorts: []*state.ServicePort{
			{Protocol: state.TCP, Endpoints: []state.Endpoint{
				endpoint("10.1.0.9:80", "b"), endpoint("10.1.0.1:80", "a"), endpoint("10.1.0.2:80", "b"), endpoint("10.1.0.3:80", ""), endpoint("10.1.0.4:80", "gone"),
			}},
			{Protocol: state.TCP, Endpoints: []state.Endpoint{endpoint("10.1.0.2:80", "b")}},
			{Protocol: state.UDP, Endpoints: []state.Endpoint{endpoint("10.1.0.1:53", "a"), endpoint("10.1.0.5:53", "u")}},
			{Protocol: state.TCP, Skipped: "why", Endpoints: []state.Endpoint{endpoint("10.1.0.6:80", "skipped")}},
		},
	}
	want := []probe.Target{
		{Node: "a", Address: addr("10.0.0.1"), Endpoints: []netip.AddrPort{addrPort("10.1.0.1:80")}},
		{Node: "b", Address: addr("10.0.0.2"), Endpoints: []netip.AddrPort{addrPort("10.1.0.2:80"), addrPort("10.1.0.9:80")}},
		{Node: "own", Address: addr("10.0.0.4")},
		{Node: "u", Address: addr("10.0.0.6")},
	}
	same := cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	}
	if diff := cmp.Diff(want, probe.Targets(st), same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInterval(t *testing.T) {
	cases := map[int]time.Duration{0: 5, 1: 5, 10: 5, 200: 5, 201: 5, 400: 10, 1000: 25}
	for n, seconds := range cases {
		if got := probe.Interval(probe.DefaultInterval, n); got.Truncate(time.Second) != seconds*time.Second {
			t.Errorf("%d targets: %v, want %d s", n, got, seconds)
		}
	}
}
