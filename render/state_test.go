package render_test

import (
	"fmt"
	"net/netip"
	"testing"

	"weft/render"
	"weft/state"
)

// numbered is a state with n ServicePorts of ten endpoints each.
func numbered(n int) *state.State {
	st := &state.State{Node: "node-1", Addresses: []netip.Addr{netip.MustParseAddr("10.34.4.141")}}
	for i := range n {
		sp := &state.ServicePort{Namespace: "ns", Name: fmt.Sprintf("sp-%d", i), Protocol: state.TCP, NodePort: uint16(30000 + i)}
		for e := range 10 {
			sp.Endpoints = append(sp.Endpoints, state.Endpoint{
				Address: netip.AddrFrom4([4]byte{10, 42, byte(i >> 8), byte(i)}), Port: uint16(8000 + e), Node: fmt.Sprintf("node-%d", e), Share: 0.1,
			})
		}
		st.ServicePorts = append(st.ServicePorts, sp)
	}
	return st
}

func BenchmarkRender(b *testing.B) {
	for _, name := range []string{"simplified", "cascade"} {
		for _, n := range []int{1, 2768} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				set := load(b, name)
				st, vars := numbered(n), with(b, set, nil)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := render.Render(b.Context(), set, st, vars); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// changed is the state with another share for one ServicePort, as a reader of the
// state file makes it: all others are the same.
func changed(st *state.State, n int) *state.State {
	c := *st
	c.ServicePorts = append([]*state.ServicePort(nil), st.ServicePorts...)
	p := *c.ServicePorts[n%len(c.ServicePorts)]
	p.Endpoints = append([]state.Endpoint(nil), p.Endpoints...)
	p.Endpoints[0].Share, p.Endpoints[1].Share = 0.15, 0.05
	c.ServicePorts[n%len(c.ServicePorts)] = &p
	return &c
}

// BenchmarkRenderer measures what another rendering costs after the first.
func BenchmarkRenderer(b *testing.B) {
	for _, name := range []string{"simplified", "cascade"} {
		for _, n := range []int{100, 2768, 10000} {
			set := load(b, name)
			st, vars := numbered(n), with(b, set, nil)
			renderer := render.NewRenderer(set)
			bench := func(title string, next func(i int) *state.State) {
				b.Run(fmt.Sprintf("%s/%d/%s", name, n, title), func(b *testing.B) {
					states := make([]*state.State, 16)
					for i := range states {
						states[i] = next(i)
					}
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						if _, err := renderer.Render(b.Context(), states[i%16], vars); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			bench("none", func(int) *state.State { c := *st; return &c })
			bench("one share", func(i int) *state.State { return changed(st, i*97) })
			bench("one added or removed", func(i int) *state.State {
				c := *st
				c.ServicePorts = append([]*state.ServicePort(nil), st.ServicePorts[i%2:]...)
				return &c
			})
		}
	}
}
