package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/state"
)

// crowd is a state with n ServicePorts of ten endpoints each.
func crowd(n int) *state.State {
	st := &state.State{Node: "node-1", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	for i := range n {
		sp := &state.ServicePort{Namespace: "bench", Name: fmt.Sprintf("sp-%05d", i), Protocol: state.TCP, NodePort: uint16(30000 + i)}
		for e := range 10 {
			sp.Endpoints = append(sp.Endpoints, state.Endpoint{
				Address: netip.AddrFrom4([4]byte{10, byte(e), byte(i >> 8), byte(i)}), Port: 8080, Node: fmt.Sprintf("node-%d", e), Share: 0.1,
			})
		}
		st.ServicePorts = append(st.ServicePorts, sp)
	}
	return st
}

// BenchmarkApply runs a whole `weft apply` beside nft with the same bytes: the
// ratio of the two is what weft adds.
func BenchmarkApply(b *testing.B) {
	labtest.RequireKernel(b)
	dir := b.TempDir()
	weft := filepath.Join(dir, "weft")
	if out, err := exec.Command("go", "build", "-o", weft, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	example, err := filepath.Abs("../../examples/states/three-endpoints.yaml")
	if err != nil {
		b.Fatal(err)
	}
	text, err := exec.Command(weft, "apply", "--dry-run", "--state", example).Output()
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(dir, "rules.nft")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		b.Fatal(err)
	}
	ns := labtest.Scratch(b)
	for _, bench := range []struct {
		name string
		args []string
	}{{"weft", []string{weft, "apply", "--state", example}}, {"nft", []string{"nft", "-f", file}}} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				must(b, ns, bench.args...)
			}
		})
	}
}

func must(b *testing.B, ns *lab.Namespace, args ...string) {
	b.Helper()
	if _, err := ns.Run(args[0], args[1:]...); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOthers is the cost of somebody else's one-element transaction beside
// a table of weft's: what decides where the set auto changes.
func BenchmarkOthers(b *testing.B) {
	for _, n := range []int{0, 16, 64, 256, 1024, 2768} {
		for _, name := range []string{"simplified", "cascade"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				ns := labtest.Scratch(b)
				set, err := render.Load(name)
				if err != nil {
					b.Fatal(err)
				}
				result, err := render.Render(b.Context(), set, crowd(n), render.DefaultVars())
				if err != nil {
					b.Fatal(err)
				}
				file := filepath.Join(b.TempDir(), "rules.nft")
				if err := os.WriteFile(file, []byte(result.Text()), 0o644); err != nil {
					b.Fatal(err)
				}
				must(b, ns, "nft", "-f", file)
				must(b, ns, "nft", "add table ip other; add set ip other s { type inet_service ; }")
				for b.Loop() {
					must(b, ns, "nft", "add element ip other s { 1 }; delete element ip other s { 1 }")
				}
			})
		}
	}
}
