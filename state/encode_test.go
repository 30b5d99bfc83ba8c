package state

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// example is the state of design.md.
func example() *State {
	measured := time.Date(2025, 11, 24, 13, 38, 23, 0, time.UTC)
	return &State{
		Node:       "k8s-slave-2-vm",
		Generation: 1834,
		Written:    measured.Add(676 * time.Millisecond),
		Addresses:  []netip.Addr{netip.MustParseAddr("10.34.4.141")},
		Nodes: []Node{{
			Name: "k8s-slave-3-raspberrypi-4", Address: netip.MustParseAddr("10.34.4.236"),
			Latency: &Latency{Seconds: 0.000515, Measured: measured, Source: "peer"}, CPU: &CPU{Ratio: 0.0813, Measured: measured, Source: "peer"}, Cores: 4,
		}},
		ServicePorts: []*ServicePort{
			{
				Namespace: "riset", Name: "hellopod-np-svc", Protocol: TCP, NodePort: 30000,
				Endpoints: []Endpoint{
					{Address: netip.MustParseAddr("10.42.4.201"), Port: 8080, Node: "k8s-slave-3-raspberrypi-4", Share: 0.5},
					{Address: netip.MustParseAddr("10.42.4.202"), Port: 8080, Node: "k8s-slave-3-raspberrypi-4", Share: 0.25},
					{Address: netip.MustParseAddr("10.42.5.169"), Port: 8080, Node: "k8s-slave-4-raspberrypi-4", Share: 0.25},
				},
			},
			{
				Namespace: "riset", Name: "latency-extender-svc", Port: "http", Protocol: TCP, NodePort: 30100,
				Skipped: "all endpoints are on one node",
			},
		},
	}
}

// options compares States by value, addresses and times included.
var options = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

// explained is a State with all that may stand beside the shares.
func explained() *State {
	s := example()
	measured := s.Nodes[0].CPU.Measured
	s.Nodes[0].Latency.Source, s.Nodes[0].CPU.Source, s.Nodes[0].Cores = "peer", "prometheus", 4
	s.Nodes = append(s.Nodes, Node{
		Name: "k8s-slave-4-raspberrypi-4", Address: netip.MustParseAddr("10.34.4.237"), Unreachable: measured.Add(-time.Minute),
	})
	p := s.ServicePorts[0]
	p.Policy, p.Held = PolicyLatencyCPU, []Hold{HoldHysteresis, HoldStale}
	p.Factors = []Factor{
		{Address: netip.MustParseAddr("10.42.6.1"), Latency: new(1.0), Trim: new(1.0), Target: 0.2, Share: 0.2},
		{Node: "k8s-slave-3-raspberrypi-4", Base: new(0.75), Latency: new(0.9712), Trim: new(1.25), Guard: new(0.5), Target: 0.8, Share: 0.8},
		{Node: "k8s-slave-4-raspberrypi-4"},
	}
	p.Affinity = ClientIP
	p.Endpoints[0].Weight = new(2.0)
	p.Endpoints[0].Share, p.Endpoints[1].Share, p.Endpoints[2].Share = 0.5, 0.3, 0
	p.Endpoints = append(p.Endpoints, Endpoint{Address: netip.MustParseAddr("10.42.6.1"), Port: 8080, Share: 0.2})
	s.ServicePorts[1].Policy = PolicyEqual
	return s
}

func TestEncodeGolden(t *testing.T) {
	for name, s := range map[string]*State{"example": example(), "explained": explained()} {
		t.Run(name, func(t *testing.T) { isGolden(t, filepath.Join("testdata", name+".yaml"), s) })
	}
}

func isGolden(t *testing.T, golden string, s *State) {
	got, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("encoded (-want +got):\n%s", diff)
	}
	back, err := Decode(golden, want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back, options); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}
