package metrics_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"weft/cmd/weft/metrics"
	"weft/state"
	"weft/state/status"
)

// busy is a recorder of an agent that has seen everything.
func busy() *status.Recorder {
	r := status.New("n1", "weft run", "v1", status.Watcher, status.Applier)
	st := stateOf(2, 2)
	st.ServicePorts = append(st.ServicePorts, &state.ServicePort{Namespace: "ns", Name: "skipped", Protocol: state.UDP, NodePort: 31000, Skipped: "all endpoints are on one node"})
	r.Written(st)
	r.Wanted(st)
	r.Took(status.Apply, 3*time.Millisecond)
	r.Failed(status.Render, errors.New("no"))
	r.Proven(&status.Rules{State: st, Set: "cascade", Table: "weft", Heartbeat: time.Minute, LeftOut: map[string]string{"ns/web-1": "no"}})
	r.Good(status.FromState, time.Now())
	r.Repaired("somebody")
	r.Beat()
	r.Counting(func() status.Traffic {
		at := status.Place{Protocol: state.TCP, NodePort: 30000, Endpoint: netip.MustParseAddrPort("10.0.0.0:80")}
		came := map[status.Place]status.Arrivals{at: {Connections: 60, Asked: 50.5}}
		return status.Traffic{Endpoints: came, Totals: came, Nodes: map[string]status.Arrivals{"n0": {Connections: 60, Asked: 50.5}}}
	})
	return r
}

// stateOf has so many ServicePorts with so many endpoints each, on three nodes.
func stateOf(servicePorts, endpoints int) *state.State {
	st := &state.State{Node: "n1", Generation: 7}
	for i := range 3 {
		st.Nodes = append(st.Nodes, state.Node{
			Name: fmt.Sprintf("n%d", i), Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}),
			Latency: &state.Latency{Seconds: 0.0005, Measured: time.Now()}, CPU: &state.CPU{Ratio: 0.25, Measured: time.Now()},
		})
	}
	factor := 0.5
	for i := range servicePorts {
		p := &state.ServicePort{Namespace: "ns", Name: fmt.Sprintf("web-%d", i), Protocol: state.TCP, NodePort: uint16(30000 + i)}
		for j := range endpoints {
			p.Endpoints = append(p.Endpoints, state.Endpoint{
				Address: netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(j)}), Port: 80,
				Node: fmt.Sprintf("n%d", j%3), Share: 1 / float64(endpoints),
			})
		}
		p.Factors = []state.Factor{{Node: "n0", Latency: &factor}, {Node: "n1", Latency: &factor}}
		st.ServicePorts = append(st.ServicePorts, p)
	}
	return st
}

func registry(t testing.TB, r *status.Recorder, perEndpoint bool) *prometheus.Registry {
	t.Helper()
	registry, err := metrics.Registry(r, metrics.Options{Version: "v1", Revision: "abc", Go: "go1", PerEndpoint: perEndpoint})
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(t, busy(), true))
	if diff := cmp.Diff([]promlint.Problem(nil), problems); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// TestEachMetric scrapes an agent that has something to say of every metric.
func TestEachMetric(t *testing.T) {
	families, err := registry(t, busy(), true).Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, f := range families {
		shown[f.GetName()] = true
	}
	for _, name := range metrics.Names() {
		if !shown[name] {
			t.Errorf("%s is never shown", name)
		}
	}
}

func TestValues(t *testing.T) {
	want := `
# HELP weft_build_info A constant 1, labelled with the version of weft.
# TYPE weft_build_info gauge
weft_build_info{goversion="go1",revision="abc",version="v1"} 1
# HELP weft_healthy 1 if the agent is live and ready and nothing is wrong now.
# TYPE weft_healthy gauge
weft_healthy 0
# HELP weft_proven_generation Generation of the state whose rules are proven to be at work; 0 is none.
# TYPE weft_proven_generation gauge
weft_proven_generation 7
# HELP weft_node_asked_connections_total How many of the same connections the shares asked for to go to a node.
# TYPE weft_node_asked_connections_total counter
weft_node_asked_connections_total{node="n0"} 50.5
# HELP weft_node_connections_total New connections through this node's NodePorts that a node's endpoints got.
# TYPE weft_node_connections_total counter
weft_node_connections_total{node="n0"} 60
# HELP weft_node_share_ratio Part of new connections that a node should get, the mean over ServicePorts.
# TYPE weft_node_share_ratio gauge
weft_node_share_ratio{node="n0"} 0.5
weft_node_share_ratio{node="n1"} 0.5
weft_node_share_ratio{node="n2"} 0
# HELP weft_skipped_service_ports ServicePorts that are left to kube-proxy, by reason.
# TYPE weft_skipped_service_ports gauge
weft_skipped_service_ports{reason="all endpoints are on one node"} 1
weft_skipped_service_ports{reason="its template failed"} 1
# HELP weft_stage_failing 1 if the last try of a stage failed.
# TYPE weft_stage_failing gauge
weft_stage_failing{stage="apply"} 0
weft_stage_failing{stage="render"} 1
# HELP weft_steered_service_ports ServicePorts that weft has rules for.
# TYPE weft_steered_service_ports gauge
weft_steered_service_ports 1
`
	err := testutil.GatherAndCompare(registry(t, busy(), false), strings.NewReader(want), "weft_build_info", "weft_healthy", "weft_proven_generation",
		"weft_node_share_ratio", "weft_skipped_service_ports", "weft_stage_failing", "weft_steered_service_ports", "weft_endpoint_share_ratio",
		"weft_node_connections_total", "weft_node_asked_connections_total", "weft_endpoint_connections_total")
	if err != nil {
		t.Error(err)
	}
}

// TestReasonsAreBounded has a source that makes a reason for each ServicePort.
func TestReasonsAreBounded(t *testing.T) {
	r := status.New("n1", "weft watch", "", status.Watcher)
	st := &state.State{}
	for i := range 1000 {
		st.ServicePorts = append(st.ServicePorts, &state.ServicePort{Skipped: fmt.Sprintf("reason %d", i)})
	}
	r.Written(st)
	n, err := testutil.GatherAndCount(registry(t, r, false), "weft_skipped_service_ports")
	if err != nil || n != 21 {
		t.Errorf("%d reasons, %v; want 20 and other", n, err)
	}
}

func TestHandler(t *testing.T) {
	answer := httptest.NewRecorder()
	metrics.Handler(registry(t, busy(), false)).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.Code != 200 || !strings.Contains(string(text), "weft_repairs_total 1\n") || !strings.Contains(string(text), "process_resident_memory_bytes") {
		t.Errorf("%d %v\n%s", answer.Code, err, text)
	}
}

func BenchmarkScrape(b *testing.B) {
	for _, perEndpoint := range []bool{false, true} {
		b.Run(fmt.Sprintf("2768x10/perEndpoint=%v", perEndpoint), func(b *testing.B) {
			r := status.New("n1", "weft run", "v1", status.Watcher, status.Applier)
			st := stateOf(2768, 10)
			r.Wanted(st)
			r.Proven(&status.Rules{State: st})
			handler := metrics.Handler(registry(b, r, perEndpoint))
			bytes := 0
			for b.Loop() {
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
				bytes = answer.Body.Len()
			}
			b.ReportMetric(float64(bytes), "bytes/scrape")
		})
	}
}
