package render_test

import (
	"net/netip"
	"testing"

	"weft/render"
	"weft/state"
)

// TestGuard has values that no good state has, and that templates print as they
// are.
func TestGuard(t *testing.T) {
	tests := []struct {
		name string
		put  func(*state.State)
	}{
		{"a protocol of nft's", func(st *state.State) { st.ServicePorts[0].Protocol = "ip" }},
		{"an address with a zone", func(st *state.State) { st.Addresses = []netip.Addr{netip.MustParseAddr("fe80::1%lo")} }},
		{"no address", func(st *state.State) { st.Addresses = []netip.Addr{{}} }},
		{"an endpoint with a zone", func(st *state.State) {
			st.ServicePorts[0].Endpoints = []state.Endpoint{{Address: netip.MustParseAddr("fe80::1%lo"), Port: 80, Share: 1}}
		}},
	}
	for _, tt := range tests {
		st := *example(t, "states/three-endpoints.yaml")
		p := *st.ServicePorts[0]
		st.ServicePorts = []*state.ServicePort{&p}
		set := load(t, "cascade")
		if _, err := render.Render(t.Context(), set, &st, with(t, set, nil)); err != nil {
			t.Fatal(err)
		}
		tt.put(&st)
		if result, err := render.Render(t.Context(), set, &st, with(t, set, nil)); err == nil {
			t.Errorf("%s is rendered:\n%s", tt.name, result.Text())
		}
	}
}
