package render_test

import (
	"fmt"
	"net/netip"
	"testing"

	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/verify"
	"weft/state"
)

// crowded is a state with one ServicePort of n endpoints on node-0 to node-9, of
// which each has another share.
func crowded(n int) *state.State {
	sp := &state.ServicePort{Namespace: "ns", Name: "sp", Protocol: state.UDP, NodePort: 30000}
	for i := range n {
		sp.Endpoints = append(sp.Endpoints, state.Endpoint{
			Address: netip.AddrFrom4([4]byte{10, 42, byte(i >> 8), byte(i)}), Port: 8080, Node: fmt.Sprintf("node-%d", i%10),
			Share: 2 * float64(i+1) / float64(n*(n+1)),
		})
	}
	return &state.State{Node: "node-0", Addresses: []netip.Addr{netip.MustParseAddr("10.34.4.141")}, ServicePorts: []*state.ServicePort{sp}}
}

// TestDistribution loads what the shipped sets render for few and for very many
// endpoints, proves it, and counts where real connections end.
func TestDistribution(t *testing.T) {
	const connections = 20000
	for _, name := range []string{"simplified", "cascade"} {
		for _, affinity := range []state.Affinity{"", state.ClientIP} {
			for _, n := range []int{1, 3, 32, 33, 500} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, affinity, n), func(t *testing.T) {
					st := crowded(n)
					st.ServicePorts[0].Affinity = affinity
					w := newWire(t)
					loadRendered(t, w, name, st)
					prove(t, w, st)
					if _, err := w.connect(0, connections, apart); err != nil {
						t.Fatal(err)
					}
					want := map[string]float64{}
					for _, e := range st.ServicePorts[0].Endpoints {
						want[e.AddrPort().String()] = e.Share
					}
					labtest.Within(t, w.counts(t, "endpoints"), want)
				})
			}
		}
	}
}

func loadRendered(t testing.TB, w *wire, name string, st *state.State) {
	t.Helper()
	set := load(t, name)
	result, err := render.Render(t.Context(), set, st, with(t, set, render.Vars{"affinity": "hash"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Load(result.Text() + watch); err != nil {
		t.Fatal(err)
	}
}

func prove(t testing.TB, w *wire, st *state.State) {
	t.Helper()
	rs, err := verify.Read(t.Context(), w.FD(), []verify.TableID{{Family: verify.IPv4, Name: "weft"}})
	if err != nil {
		t.Fatal(err)
	}
	if report := verify.Check(rs, st, verify.Want{}); !report.OK() {
		t.Errorf("not proven: %v", report)
	}
}

// TestAffinityKeepsClients makes several connections from each of many clients.
func TestAffinityKeepsClients(t *testing.T) {
	const clients, each = 1500, 4
	for _, name := range []string{"simplified", "cascade"} {
		for _, n := range []int{10, 100} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				st := crowded(n)
				st.ServicePorts[0].Affinity = state.ClientIP
				w := newWire(t)
				loadRendered(t, w, name, st)
				_, err := w.connect(0, clients*each, func(i int) (client, port uint16) { return uint16(i % clients), uint16(2000 + i/clients) })
				if err != nil {
					t.Fatal(err)
				}
				pairs := w.counts(t, "pairs")
				if len(pairs) != clients {
					t.Errorf("%d clients came to %d endpoints, want one each", clients, len(pairs))
				}
				for pair, n := range pairs {
					if n != each {
						t.Errorf("%s: %d connections, want %d", pair, n, each)
					}
				}
			})
		}
	}
}
