package weight_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"weft/state"
	"weft/state/weight"
)

// large is a cluster that has used up its NodePort range: 2,768 ServicePorts with
// ten endpoints each, on 100 nodes.
func large() *state.State {
	st := cluster(make([]float64, 100), nil)
	st.ServicePorts = nil
	for i := range 2768 {
		p := &state.ServicePort{Namespace: "default", Name: fmt.Sprintf("service-%d", i), Protocol: state.TCP, NodePort: uint16(30000 + i)}
		for j := range 10 {
			p.Endpoints = append(p.Endpoints, state.Endpoint{
				Address: netip.AddrFrom4([4]byte{10, 42 + byte(i>>8), byte(i), byte(j)}), Port: 80, Node: st.Nodes[(i+7*j)%100].Name, Share: 0.1,
			})
		}
		st.ServicePorts = append(st.ServicePorts, p)
	}
	return st
}

// A step when nothing is due, one of the slow loop, and one of the guard with
// connections on every NodePort or none.
func BenchmarkStep(b *testing.B) {
	st := large()
	latency, busy := make([]float64, 100), make([]float64, 100)
	conns := &weight.Connections{Exact: true, Counts: map[weight.NodePort]map[netip.AddrPort]weight.Count{}}
	for i := range latency {
		latency[i], busy[i] = 0.001+float64(i)/1e5, 0.4+float64(i)/200
	}
	for _, p := range st.ServicePorts {
		counts := map[netip.AddrPort]weight.Count{}
		for _, e := range p.Endpoints {
			counts[e.AddrPort()] = weight.Count{Young: 3, Open: 3, Opened: 1000, Seconds: 100}
		}
		conns.Counts[weight.NodePort{Protocol: p.Protocol, Port: p.NodePort}] = counts
	}
	for _, bench := range []struct {
		name  string
		step  time.Duration
		conns *weight.Connections
	}{{"nothing due", 0, nil}, {"slow loop", 6 * time.Second, nil}, {"guard", time.Second, conns}, {"guard, no connections", time.Second, &weight.Connections{Exact: true}}} {
		b.Run(bench.name, func(b *testing.B) {
			e := weight.New(weight.Default(), "me")
			now := noon
			for range 20 {
				now = now.Add(6 * time.Second)
				measure(st, latency, busy, now)
				e.Step(now, weight.Inputs{State: st})
			}
			b.ReportAllocs()
			for b.Loop() {
				if now = now.Add(bench.step); bench.step > 0 {
					measure(st, latency, busy, now)
				}
				if bench.conns != nil {
					bench.conns.At = now
				}
				e.Step(now, weight.Inputs{State: st, Connections: bench.conns})
			}
		})
	}
}
