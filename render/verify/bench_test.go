package verify_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/verify"
	"weft/render/verify/nfnl"
	"weft/state"
)

// cluster is a cluster with n ServicePorts of 10 endpoints each.
func cluster(n int) *state.State {
	st := &state.State{Node: "here", Addresses: []netip.Addr{netip.MustParseAddr("10.34.4.141")}}
	parts := []float64{0.19, 0.17, 0.15, 0.13, 0.11, 0.09, 0.07, 0.05, 0.03, 0.01}
	for i := range n {
		sp := &state.ServicePort{Namespace: "ns", Name: fmt.Sprintf("service-%04d", i), Protocol: state.TCP, NodePort: uint16(30000 + i)}
		for k, share := range parts {
			sp.Endpoints = append(sp.Endpoints, endpoint(fmt.Sprintf("10.%d.%d.%d", 42+k, i/250, 1+i%250), 8080, "there", share))
		}
		st.ServicePorts = append(st.ServicePorts, sp)
	}
	return st
}

// nodePorts is how many a cluster can have at most: 30000 to 32767.
const nodePorts = 2768

// BenchmarkProof is a proof of everything, and of one change, beside what
// `nft -j list table` takes for the same table in the same turn. of-list is the
// median of the ratios.
func BenchmarkProof(b *testing.B) {
	st := cluster(nodePorts)
	for _, name := range []string{"inline", "cascade"} {
		ns := labtest.Scratch(b)
		load(b, ns, strings.Replace(ruleset(st, map[string]shape{"inline": inline, "cascade": cascade}[name], verify.MasqueradeAll), "timeout 60s", "timeout 1h", 1))
		b.Run(name+"/full", func(b *testing.B) {
			b.ReportAllocs()
			var ratios []float64
			for b.Loop() {
				ours := took(func() {
					if r := verify.Check(read(b, ns), st, verify.Want{}); !r.OK() {
						b.Fatal(r)
					}
				})
				b.StopTimer()
				list := took(func() {
					if _, err := ns.Run("nft", "-j", "list", "table", "ip", "weft"); err != nil {
						b.Fatal(err)
					}
				})
				ratios = append(ratios, ours.Seconds()/list.Seconds())
				b.StartTimer()
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "of-list")
			b.ReportMetric(ratios[len(ratios)-1], "of-list-worst")
		})
		b.Run(name+"/read", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				read(b, ns)
			}
		})
		b.Run(name+"/check", func(b *testing.B) {
			b.ReportAllocs()
			rs := read(b, ns)
			for b.Loop() {
				if r := verify.Check(rs, st, verify.Want{}); !r.OK() {
					b.Fatal(r)
				}
			}
		})
		b.Run(name+"/one", func(b *testing.B) {
			b.ReportAllocs()
			p := prover(b, ns, st)
			for b.Loop() {
				if _, err := p.Refresh(context.Background(), touched("svc-1000")); err != nil {
					b.Fatal(err)
				}
				if r := p.Check(st, verify.Want{}); !r.OK() || r.Proven != 1 {
					b.Fatal(r)
				}
			}
		})
	}
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// prover is one that has proven the state.
func prover(t testing.TB, ns *lab.Namespace, st *state.State) *verify.Prover {
	t.Helper()
	r, err := verify.Open(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	p := verify.NewProver(r, tables)
	if err := p.Read(context.Background()); err != nil {
		t.Fatal(err)
	}
	if report := p.Check(st, verify.Want{}); !report.OK() {
		t.Fatal(report)
	}
	return p
}

// touched are chains of the first table.
func touched(chains ...string) verify.Touched {
	t := &nfnl.Touched{}
	for _, c := range chains {
		t.Chain([]byte(c))
	}
	return verify.Touched{tables[0]: t}
}

// TestRefreshSeesOneChange: after a change of one chain, only that is read again
// and the proof of its ServicePort follows it.
func TestRefreshSeesOneChange(t *testing.T) {
	for name, s := range map[string]shape{"inline": inline, "cascade": cascade} {
		t.Run(name, func(t *testing.T) {
			st := cluster(20)
			ns := labtest.Scratch(t)
			load(t, ns, ruleset(st, s, verify.MasqueradeAll))
			p := prover(t, ns, st)
			changed := *st.ServicePorts[7]
			changed.Endpoints = append([]state.Endpoint(nil), changed.Endpoints...)
			changed.Endpoints[0].Share, changed.Endpoints[1].Share = 0.01, 0.35
			after := *st
			after.ServicePorts = slices.Clone(st.ServicePorts)
			after.ServicePorts[7] = &changed
			load(t, ns, "flush chain ip weft svc-7\ntable ip weft {\n\tchain svc-7 {\n"+s("ip", &changed, changed.Endpoints)+"\t}\n}\n")
			if report := p.Check(&after, verify.Want{}); report.OK() {
				t.Error("the change is proven before it was read")
			}
			p = prover(t, ns, &after)
			load(t, ns, "flush chain ip weft svc-7\ntable ip weft {\n\tchain svc-7 {\n"+s("ip", st.ServicePorts[7], st.ServicePorts[7].Endpoints)+"\t}\n}\n")
			changes, err := p.Refresh(context.Background(), touched("svc-7", "svc-8"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]verify.Change{{Table: tables[0], Chain: "svc-7"}}, changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if report := p.Check(st, verify.Want{}); !report.OK() || report.Proven != 2 {
				t.Errorf("the change is not proven: %v", report)
			}
			if report := p.Check(&after, verify.Want{}); report.OK() {
				t.Error("the old shares are still proven")
			}
		})
	}
}
