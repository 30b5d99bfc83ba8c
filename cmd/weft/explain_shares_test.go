package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/state"
)

func TestExplainShares(t *testing.T) {
	now := time.Date(2025, 11, 24, 13, 38, 26, 0, time.UTC)
	pi, vm := netip.MustParseAddr("10.34.4.236"), netip.MustParseAddr("10.34.4.237")
	outside := netip.MustParseAddr("10.42.6.1")
	st := &state.State{Nodes: []state.Node{
		{
			Name: "pi", Address: pi,
			Latency: &state.Latency{Seconds: 0.00051549, Measured: now.Add(-3 * time.Second), Source: "peer"},
			CPU:     &state.CPU{Ratio: 0.813, Measured: now.Add(-17 * time.Second), Source: "prometheus"},
		},
		{Name: "vm", Address: vm, Unreachable: now.Add(-90 * time.Second)},
	}}
	sp := &state.ServicePort{
		Policy: state.PolicyLatencyCPU, Held: []state.Hold{state.HoldHysteresis, state.HoldStale},
		Factors: []state.Factor{
			{Address: outside, Base: new(0.25), Latency: new(1.0), Trim: new(1.0), Target: 0.21, Share: 0.2},
			{Node: "pi", Base: new(0.75), Latency: new(0.9712), Trim: new(1.25), Guard: new(0.5), Target: 0.79, Share: 0.8},
			{Node: "vm"},
		},
		Endpoints: []state.Endpoint{
			{Address: pi, Node: "pi", Weight: new(2.5)}, {Address: vm, Node: "pi"}, {Address: vm, Node: "vm"}, {Address: outside},
		},
	}
	want := `
  shares (policy latency-cpu, held by hysteresis, stale):
    NODE       LATENCY               CPU                          BASE   x LATENCY  x TRIM  x GUARD  TARGET  SHARE
    10.42.6.1  not known             not known                    25.0%  1.000      1.000   -        21.0%   20.0%
    pi         515µs (peer, 3s ago)  81.3% (prometheus, 17s ago)  75.0%  0.971      1.250   0.500    79.0%   80.0%
    vm         no answer for 1m30s   not known                    -      -          -       -        0.0%    0.0%
`
	var out bytes.Buffer
	if err := (&program{stdout: &out}).explainShares(st, sp, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
