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
