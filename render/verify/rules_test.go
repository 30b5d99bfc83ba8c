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
		for n, ok := a.number(&a.list[i], 0); ok; n, ok = a.number(&a.list[i], len(got)) {
			got = append(got, a.pool.all[n])
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

// TestImmediates: values up to the length of an address are kept without a pointer, and
// come back as they were; verdicts and what is longer are expressions like others.
func TestImmediates(t *testing.T) {
	short := &nfnl.Immediate{Dreg: 1, Data: []byte{10, 0, 0, 1}}
	long := &nfnl.Immediate{Dreg: 1, Data: make([]byte, 17)}
	jump := &nfnl.Immediate{Verdict: &nfnl.Verdict{Code: nfnl.VerdictJump, Chain: "x"}}
	six := &nfnl.Immediate{Dreg: 9, Data: slices.Repeat([]byte{7}, 16)}
	empty := &nfnl.Immediate{Dreg: 2, Data: []byte{}}
	chainOf := func(exprs ...nfnl.Expr) *chain {
		return newChain(&table{}, nfnl.Chain{Name: "c"}, []*nfnl.Rule{{Handle: 1, Exprs: exprs}})
	}
	c := chainOf(short, jump, six, long, short, empty)
	want := []*nfnl.Immediate{short, nil, six, nil, short, empty}
	for i, w := range want {
		n, ok := c.number(&c.list[0], i)
		got := c.pool.immediate(n)
		if !ok || (got == nil) != (w == nil) || w != nil && (got.register != w.Dreg || !slices.Equal(got.value(), w.Data)) {
			t.Errorf("expression %d is %v, want %v", i, got, w)
		}
	}
	if _, ok := c.number(&c.list[0], len(want)); ok {
		t.Error("there is an expression behind the last one")
	}
	if all := slices.Collect(c.each()); !slices.Equal(all, []nfnl.Expr{jump, long}) || len(c.pool.immediates) != 3 {
		t.Errorf("%v refer to others, and %d do not; want 2 and 3", all, len(c.pool.immediates))
	}
	u := newUpdate(&table{})
	for _, o := range []struct {
		name  string
		other *chain
		same  bool
	}{
		{"in another pool, in another order", chainOf(six, short), false},
		{"the same anew", chainOf(&nfnl.Immediate{Dreg: 1, Data: []byte{10, 0, 0, 1}}, jump), true},
		{"another value", chainOf(&nfnl.Immediate{Dreg: 1, Data: []byte{10, 0, 0, 2}}, jump), false},
		{"another register", chainOf(&nfnl.Immediate{Dreg: 2, Data: []byte{10, 0, 0, 1}}, jump), false},
		{"a longer one", chainOf(&nfnl.Immediate{Dreg: 1, Data: []byte{10, 0, 0, 1, 0}}, jump), false},
		{"a verdict in its place", chainOf(jump, jump), false},
	} {
		if got := u.sameRules(chainOf(short, jump), o.other); got != o.same {
			t.Errorf("%s: same = %t", o.name, got)
		}
	}
}
