package verify

import (
	"iter"

	"weft/render/verify/nfnl"
)

// rules are what is kept of the rules of a chain. A full table has tens of thousands,
// with as many expressions as make it megabytes to point to each: here each is a
// number, of a pool that chains which were read together have in common. And what is
// there once, the addresses of endpoints, is an immediate without a pointer, which the
// garbage collector need not look at: that is most of what the pool holds.
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
	all        []nfnl.Expr
	immediates []immediate
	known      map[nfnl.Expr]uint32 // while rules are added: the decoder gives equal ones once
}

// immediate is an [nfnl.Immediate] of a value that is no longer than an address.
type immediate struct {
	register nfnl.Register
	size     uint8
	data     [16]byte
}

// ofImmediates is set in the number of an immediate.
const ofImmediates = 1 << 31

func (p *pool) number(e nfnl.Expr) uint32 {
	n, ok := p.known[e]
	if !ok {
		n = p.add(e)
		p.known[e] = n
	}
	return n
}

func (p *pool) add(e nfnl.Expr) uint32 {
	var c immediate
	if i, ok := e.(*nfnl.Immediate); ok && i.Verdict == nil && len(i.Data) <= len(c.data) {
		c.register, c.size = i.Dreg, uint8(copy(c.data[:], i.Data))
		p.immediates = append(p.immediates, c)
		return uint32(len(p.immediates)-1) | ofImmediates
	}
	p.all = append(p.all, e)
	return uint32(len(p.all) - 1)
}

// immediate is the immediate with a number; nil for that of another expression.
func (p *pool) immediate(n uint32) *immediate {
	if n&ofImmediates == 0 {
		return nil
	}
	return &p.immediates[n&^ofImmediates]
}

func (c *immediate) value() []byte { return c.data[:c.size] }

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
	if pool.known == nil { // most rules have one expression of their own
		pool.known = make(map[nfnl.Expr]uint32, 2*len(list))
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

// number is that of an expression of a rule; not ok behind its last one.
func (r *rules) number(of *rule, i int) (n uint32, ok bool) {
	if i >= int(of.to-of.from) {
		return 0, false
	}
	return r.exprs[int(of.from)+i], true
}

// each goes through the expressions of all rules but immediates, which refer to nothing.
func (r *rules) each() iter.Seq[nfnl.Expr] {
	return func(yield func(nfnl.Expr) bool) {
		for _, n := range r.exprs {
			if r.pool.immediate(n) == nil && !yield(r.pool.all[n]) {
				return
			}
		}
	}
}
