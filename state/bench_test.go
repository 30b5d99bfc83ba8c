package state

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// large is a State of a cluster: servicePorts times endpoints, on 100 nodes.
func large(servicePorts, endpoints int) *State {
	at := time.Date(2025, 11, 24, 13, 38, 23, 0, time.UTC)
	s := &State{Node: "worker-0", Generation: 7, Written: at, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	for i := range 100 {
		s.Nodes = append(s.Nodes, Node{
			Name: fmt.Sprintf("worker-%d", i), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}),
			Latency: &Latency{Seconds: 0.000123 + float64(i)/1e6, Measured: at}, CPU: &CPU{Ratio: float64(i) / 100, Measured: at},
		})
	}
	for i := range servicePorts {
		p := &ServicePort{Namespace: fmt.Sprintf("team-%d", i%40), Name: fmt.Sprintf("service-%d", i), Port: "http", Protocol: TCP, NodePort: uint16(30000 + i)}
		for j := range endpoints {
			p.Endpoints = append(p.Endpoints, Endpoint{
				Address: netip.AddrFrom4([4]byte{10, 42 + byte(i>>8), byte(i), byte(j + 1)}),
				Port:    8080, Node: fmt.Sprintf("worker-%d", (i+j)%100), Share: 1 / float64(endpoints),
			})
		}
		s.ServicePorts = append(s.ServicePorts, p)
	}
	s.Sort()
	return s
}

// changed is the State with one share of one ServicePort moved, as a writer makes
// it: all other ServicePorts are the same.
func changed(s *State, n int) *State {
	c := *s
	c.ServicePorts = append([]*ServicePort(nil), s.ServicePorts...)
	p := *c.ServicePorts[n%len(s.ServicePorts)]
	p.Endpoints = append([]Endpoint(nil), p.Endpoints...)
	delta := p.Endpoints[0].Share / float64(2+n%7)
	p.Endpoints[0].Share -= delta
	p.Endpoints[1].Share += delta
	c.ServicePorts[n%len(s.ServicePorts)] = &p
	c.Written = s.Written.Add(time.Duration(n) * time.Second)
	return &c
}

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func BenchmarkEncode(b *testing.B) {
	s := large(2768, 10)
	b.Run("full", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.SetBytes(int64(len(must[[]byte](b)(Encode(s)))))
		}
	})
	b.Run("one changed", func(b *testing.B) {
		var e Encoder
		must[[]byte](b)(e.Encode(s))
		states := [...]*State{changed(s, 1), changed(s, 2)}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			must[[]byte](b)(e.Encode(states[i%2]))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	s := large(2768, 10)
	data := must[[]byte](b)(Encode(s))
	b.Run("full", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			must[*State](b)(Decode("state.yaml", data))
		}
	})
	b.Run("one changed", func(b *testing.B) {
		var d Decoder
		must[*State](b)(d.Decode("state.yaml", data))
		files := [...][]byte{must[[]byte](b)(Encode(changed(s, 1))), must[[]byte](b)(Encode(changed(s, 2)))}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			must[*State](b)(d.Decode("state.yaml", files[i%2]))
		}
	})
	b.Run("strict alone", func(b *testing.B) {
		docs := split(data)
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			for _, doc := range docs[1:] {
				if _, problems := readServicePort("state.yaml", 1, doc.text); len(problems) > 0 {
					b.Fatal(problems[0])
				}
			}
		}
	})
}
