package probe_test

import (
	"log/slog"
	"maps"
	"net/netip"
	"slices"
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

// TestAimLooksAtWhatChanged aims at a cluster that stays as it is but for what was
// measured, and at one with a change of each kind that makes other targets.
func TestAimLooksAtWhatChanged(t *testing.T) {
	far := netip.MustParseAddr("10.34.4.142")
	base := func() *state.State {
		return &state.State{Node: "near", Nodes: []state.Node{{Name: "far", Address: far}}}
	}
	p := &state.ServicePort{Protocol: state.TCP, Endpoints: []state.Endpoint{{Address: netip.MustParseAddr("10.42.2.10"), Port: 80, Node: "far"}}}
	w := probe.New(probe.Options{Mode: probe.ModeTCP, Interval: time.Second, Timeout: time.Second}, slog.New(slog.DiscardHandler))
	names := func(st *state.State) (all []string) {
		w.Aim(st)
		return slices.Sorted(maps.Keys(w.Measurements()))
	}
	steered := base()
	steered.ServicePorts = []*state.ServicePort{p}
	measured := *steered
	measured.Nodes = []state.Node{{Name: "far", Address: far, Cores: 4}}
	for _, tt := range []struct {
		name string
		st   *state.State
		want []string
	}{
		{"no ServicePort", base(), nil},
		{"one", steered, []string{"far"}},
		{"measured", &measured, []string{"far"}},
		{"none again", base(), nil},
		{"another own node", &state.State{Node: "far", Nodes: base().Nodes}, []string{"far"}},
		{"no node", &state.State{Node: "far"}, nil},
	} {
		if diff := cmp.Diff(tt.want, names(tt.st)); diff != "" {
			t.Errorf("%s: targets (-want +got):\n%s", tt.name, diff)
		}
	}
	if n := testing.AllocsPerRun(10, func() { w.Aim(&measured) }); n > 0 {
		t.Errorf("%v allocations to aim at what is the same, want none", n)
	}
}
