package verify

import (
	"fmt"
	"slices"
	"testing"

	"weft/render/verify/nfnl"
)

// TestRulesAreShared checks that rules come back as they were read, and that chains
// that are read together have one of each expression.
func TestRulesAreShared(t *testing.T) {
	accept, drop := &nfnl.Immediate{Verdict: &nfnl.Verdict{Code: 1}}, &nfnl.Immediate{Verdict: &nfnl.Verdict{Code: 0}}
	tab := &table{chains: map[string]*chain{}, sets: map[string]*set{}}
	for _, name := range []string{"a", "b", "c"} {
		tab.chains[name] = newChain(tab, nfnl.Chain{Name: name}, nil)
	}
	err := tab.distribute([]*nfnl.Rule{
		{Chain: "a", Handle: 1, Exprs: []nfnl.Expr{accept, drop}, Comment: "one"},
		{Chain: "a", Handle: 2},
		{Chain: "a", Handle: 3, Exprs: []nfnl.Expr{drop}, Unknown: "what"},
		{Chain: "b", Handle: 4, Exprs: []nfnl.Expr{drop}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a, b := tab.chains["a"], tab.chains["b"]
	if a.pool != b.pool || len(a.pool.all) != 3 {
		t.Errorf("the chains have %d expressions, in one pool: %t, want 3, true", len(a.pool.all), a.pool == b.pool)
	}
	want := [][]nfnl.Expr{{accept, drop}, nil, {notKnown("what")}}
	for i := range a.list {
		var got []nfnl.Expr
		for n := 0; a.expr(&a.list[i], n) != nil; n++ {
			got = append(got, a.expr(&a.list[i], n))
		}
		if !slices.Equal(got, want[i]) || a.list[i].handle != uint64(i+1) {
			t.Errorf("rule %d is %v, want %v", i, got, want[i])
		}
	}
	if err := tab.distribute([]*nfnl.Rule{{Chain: "b"}}); err == nil {
		t.Error("a chain was told of twice, and nobody noticed")
	}
}

// TestReadAlone: chains of many rules are read one by one, many chains of few rules and
// small tables at once.
func TestReadAlone(t *testing.T) {
	for _, tt := range []struct {
		name          string
		chains, rules int
		alone         bool
	}{
		{"small", 20, 10, false},
		{"a hundred ServicePorts in cascade", 13, 80, false},
		{"all NodePorts in cascade", 346, 80, true},
		{"a chain for each NodePort", 2768, 1, false},
		{"one chain of very many rules", 1, 2768, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := &table{chains: map[string]*chain{}}
			for i := range tt.chains {
				name := fmt.Sprint(i)
				tab.chains[name] = newChain(tab, nfnl.Chain{Name: name, Use: uint32(tt.rules)}, nil)
			}
			names := tab.readAlone()
			if alone := len(names) > 0; alone != tt.alone || alone && len(names) != tt.chains {
				t.Errorf("%d of %d chains are read alone", len(names), tt.chains)
			}
		})
	}
}
