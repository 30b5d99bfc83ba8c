package status_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"weft/state"
	"weft/state/status"
)

func endpoint(address, node string, share float64) state.Endpoint {
	return state.Endpoint{Address: netip.MustParseAddr(address), Port: 80, Node: node, Share: share}
}

func TestNodes(t *testing.T) {
	half, tenth, two := 0.5, 0.1, 2.0
	st := &state.State{
		Nodes: []state.Node{
			{Name: "a", Address: netip.MustParseAddr("10.0.0.1"), Latency: &state.Latency{Seconds: 0.001, Source: "peer"}, CPU: &state.CPU{}},
			{Name: "idle", Cores: 4},
		},
		ServicePorts: []*state.ServicePort{
			{Name: "one family", Endpoints: []state.Endpoint{endpoint("10.1.0.1", "a", 0.25), endpoint("10.1.0.2", "a", 0.25), endpoint("10.1.0.3", "b", 0.5)}, Factors: []state.Factor{{Node: "a", Latency: &half, Trim: &two}, {Node: "b", Latency: &tenth}}},
			{Name: "two families", Endpoints: []state.Endpoint{endpoint("10.1.0.1", "a", 1), endpoint("fd00::1", "b", 1)}, Factors: []state.Factor{{Node: "a"}, {Node: "b", Latency: &half}}},
			{Name: "skipped", Skipped: "for a reason", Endpoints: []state.Endpoint{endpoint("10.1.0.1", "a", 1)}},
			{Name: "no node is known", Endpoints: []state.Endpoint{endpoint("10.1.0.9", "", 1)}},
		},
	}
	one, mean := 1.0, 0.3
	want := []status.Node{
		{Name: "a", Address: "10.0.0.1", Latency: &status.Latency{Seconds: 0.001, Source: "peer"}, CPU: &status.CPU{}, Factor: &one, Share: (0.5 + 0.5) / 3, Endpoints: 3},
		{Name: "b", Factor: &mean, Share: (0.5 + 0.5) / 3, Endpoints: 2},
		{Name: "idle", Cores: 4},
	}
	if diff := cmp.Diff(want, status.Nodes(st), cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestReport(t *testing.T) {
	r := status.New("n1", "weft run", "", status.Applier)
	if got := r.Report(); got.Nodes != nil || got.ServicePorts != nil {
		t.Errorf("without a state: %+v", got)
	}
	st := &state.State{Generation: 3, ServicePorts: []*state.ServicePort{
		{Namespace: "ns", Name: "web", Protocol: state.TCP, NodePort: 30000, Endpoints: []state.Endpoint{endpoint("10.1.0.1", "a", 1)}},
		{Namespace: "ns", Name: "bad", Protocol: state.TCP, NodePort: 30001},
		{Namespace: "ns", Name: "local", Protocol: state.UDP, NodePort: 30002, Skipped: "asked for"},
	}}
	r.Wanted(st)
	r.Proven(&status.Rules{State: st, LeftOut: map[string]string{"ns/bad": "a.tmpl:1: no"}})
	report := r.Report()
	want := []status.ServicePort{
		{ID: "ns/web", Protocol: "tcp", NodePort: 30000, Endpoints: []status.Endpoint{{Address: netip.MustParseAddrPort("10.1.0.1:80"), Node: "a", Share: 1}}},
		{ID: "ns/bad", Protocol: "tcp", NodePort: 30001, Skipped: "its template failed: a.tmpl:1: no"},
		{ID: "ns/local", Protocol: "udp", NodePort: 30002, Skipped: "asked for"},
	}
	if diff := cmp.Diff(want, report.ServicePorts, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"its template failed: a.tmpl:1: no": 1, "asked for": 1}, report.Skipped()); diff != "" {
		t.Errorf("skipped: -want +got\n%s", diff)
	}
}
