package weight_test

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"weft/state"
	"weft/state/weight"
)

var noon = time.Date(2025, 11, 24, 12, 0, 0, 0, time.UTC)

// cluster is a state with one ServicePort that has one endpoint on each node.
func cluster(latency, busy []float64) *state.State {
	st := &state.State{Node: "me", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	p := &state.ServicePort{Namespace: "default", Name: "web", Protocol: state.TCP, NodePort: 30000}
	for i := range latency {
		n := state.Node{Name: fmt.Sprintf("n%d", i), Address: netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})}
		st.Nodes = append(st.Nodes, n)
		p.Endpoints = append(p.Endpoints, state.Endpoint{
			Address: netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), Port: 80, Node: n.Name, Share: 1 / float64(len(latency)),
		})
	}
	st.ServicePorts = []*state.ServicePort{p}
	measure(st, latency, busy, noon)
	return st
}

func measure(st *state.State, latency, busy []float64, at time.Time) {
	for i := range st.Nodes {
		st.Nodes[i].Latency, st.Nodes[i].CPU = nil, nil
		if !math.IsNaN(latency[i]) {
			st.Nodes[i].Latency = &state.Latency{Seconds: latency[i], Measured: at, Source: "peer"}
		}
		if busy != nil && !math.IsNaN(busy[i]) {
			st.Nodes[i].CPU = &state.CPU{Ratio: busy[i], Measured: at, Source: "peer"}
		}
	}
}

// The latencies are from the log of an earlier prototype, which sent 80 % of the
// connections to the first node.
func TestGolden(t *testing.T) {
	latency := []float64{.000074725, .000887965, .00109776, .001288225, .001566485}
	for s0, want := range map[time.Duration]string{
		5 * time.Millisecond: ".234 .202 .195 .189 .181",
		time.Millisecond:     ".337 .192 .172 .158 .141",
	} {
		c := weight.Default()
		c.RequestTime = s0
		e := weight.New(c, "me")
		st := cluster(latency, make([]float64, 5))
		var got *state.State
		for i := range 60 {
			at := noon.Add(time.Duration(i) * 5 * time.Second)
			measure(st, latency, []float64{.1, .2, .3, .4, .49}, at)
			got, _ = e.Step(at, weight.Inputs{State: st})
		}
		text := ""
		for i, end := range got.ServicePorts[0].Endpoints {
			if i > 0 {
				text += " "
			}
			text += fmt.Sprintf("%.3f", end.Share)[1:]
		}
		if text != want {
			t.Errorf("with s0 %v: got %s, want %s", s0, text, want)
		}
		if err := state.Validate(got); err != nil {
			t.Error(err)
		}
	}
}
