package verify

import (
	"iter"

	"weft/render/verify/nfnl"
)

// rules are what is kept of the rules of a chain. A full table has tens of thousands,
// with as many expressions as make it megabytes to point to each: here each is a
// number, of a pool that chains which were read together have in common.
type rules struct {
	list  []rule
	exprs []uint32 // of all rules, one behind the other
	pool  *pool
}

// rule is one of them. Where it is, its chain knows.
type rule struct {
	handle   uint64
	comment  string
	from, to uint32 // its expressions
}

// pool are expressions by their numbers.
type pool struct {
	all   []nfnl.Expr
	known map[nfnl.Expr]uint32 // while rules are added: the decoder gives equal ones once
}

func (p *pool) number(e nfnl.Expr) uint32 {
	n, ok := p.known[e]
	if !ok {
		if p.known == nil {
			p.known = map[nfnl.Expr]uint32{}
		}
		n = uint32(len(p.all))
		p.all, p.known[e] = append(p.all, e), n
	}
	return n
}

// close says that no more rules are added.
func (p *pool) close() { p.known = nil }

// notKnown is what is not understood of a rule that is not one of its expressions.
type notKnown string

func (n notKnown) String() string { return string(n) }

func rulesOf(list []*nfnl.Rule, pool *pool) rules {
	size := 0
	for _, r := range list {
		size += max(1, len(r.Exprs))
	}
	kept := rules{make([]rule, len(list)), make([]uint32, 0, size), pool}
	for i, r := range list {
		from := uint32(len(kept.exprs))
		if r.Unknown != "" { // then nobody knows what the others do
			kept.exprs = append(kept.exprs, pool.number(notKnown(r.Unknown)))
		} else {
			for _, e := range r.Exprs {
				kept.exprs = append(kept.exprs, pool.number(e))
			}
		}
		kept.list[i] = rule{r.Handle, r.Comment, from, uint32(len(kept.exprs))}
	}
	return kept
}

// expr is the expression of a rule with a number; nil behind its last one.
func (r *rules) expr(of *rule, i int) nfnl.Expr {
	if i >= int(of.to-of.from) {
		return nil
	}
	return r.pool.all[r.exprs[int(of.from)+i]]
}

// each goes through the expressions of all rules.
func (r *rules) each() iter.Seq[nfnl.Expr] {
	return func(yield func(nfnl.Expr) bool) {
		for _, n := range r.exprs {
			if !yield(r.pool.all[n]) {
				return
			}
		}
	}
}
