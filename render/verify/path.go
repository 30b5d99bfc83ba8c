package verify

import (
	"net/netip"

	"weft/render/verify/nfnl"
)

// kind says what a variable stands for.
type kind uint8

const (
	// free is anything that the state says nothing about: the source, interfaces,
	// marks. What the rules do must not depend on it.
	free kind = iota
	// target is what the packet was sent to: its domain is the question asked.
	target
	// drawn is a random number; each value of its first domain is as likely as
	// any other.
	drawn
)

// variable is something in a packet or drawn for it that has not one value.
type variable struct {
	name  string
	width uint8
	kind  kind
	dom   domain
	// modulus is how many values a drawn variable has.
	modulus uint64
	// client says that it was drawn from the packet's source alone, so that all
	// connections of a client have the same.
	client bool
}

// The variables that every walk has; 0 marks constants.
const (
	varDaddr int32 = 1 + iota
	varSaddr
	varProto
	varDport
	varSport
	varOrigDaddr
	varOrigDport
	varCount
)

// keys of variables that are made when something first loads them.
const (
	keyMask = iota
	keyMeta
	keyPayload
	keyCt
	keyFib
	keyRule
)

type key struct {
	kind uint8
	// missing makes it the question whether a packet has that at all.
	missing bool
	// again counts the times that a path comes there.
	again   uint8
	a, b, c uint64
}

// frame is where a jump returns to.
type frame struct {
	chain *chain
	rule  int
}

// Step is a rule on a packet's path that sent it on.
type Step struct {
	Table TableID
	Chain string
	// Handle and Comment are the rule's; 0 is the chain's policy.
	Handle  uint64
	Comment string
	// Verdict says where the packet went: "jump -> x", "dnat to …".
	Verdict string
}

// step is a Step that nobody asked for yet: most never are.
type step struct {
	chain   *chain
	rule    *rule
	verdict *nfnl.Verdict
	what    string
	to      netip.AddrPort
	prev    *step
}

func (s *step) export() Step {
	out := Step{Table: s.chain.id(), Chain: s.chain.Name, Verdict: s.what}
	if s.rule != nil {
		out.Handle, out.Comment = s.rule.handle, s.rule.comment
	}
	switch {
	case s.verdict != nil:
		out.Verdict = s.verdict.String()
	case s.to.IsValid():
		out.Verdict += " " + s.to.String()
	}
	return out
}

// path is one class of packets on its way through the rules: where it is, what
// is in the registers, and what is known about each variable.
type path struct {
	base  int
	chain *chain
	rule  int
	expr  int
	stack []frame

	regs [64]symbol
	// env narrows variables; one that is not in it has its first domain.
	env    []part
	fields [2]int32 // the variables of the current daddr and dport
	mark   [4]symbol
	ctMark [4]symbol

	untracked bool
	// counted says that a counting numgen was on the way.
	counted  bool
	dnat     bool
	to       netip.AddrPort
	priority int32
	source   sourceNAT
	trail    *step
}

// sourceNAT is what a postrouting chain does with the source.
type sourceNAT struct {
	done bool
	// masquerade, or snat to the address.
	masquerade bool
	to         netip.Addr
}

func (p *path) domain(w *walker, v int32) domain {
	if d := narrowed(p.env, v); d != nil {
		return d
	}
	return w.vars[v].dom
}

// narrowed looks from the end: what was drawn last is asked for most.
func narrowed(env []part, v int32) domain {
	for i := len(env) - 1; i >= 0; i-- {
		if env[i].variable == v {
			return env[i].in
		}
	}
	return nil
}

func (p *path) narrow(v int32, d domain) {
	for i := len(p.env) - 1; i >= 0; i-- {
		if p.env[i].variable == v {
			p.env[i].in = d
			return
		}
	}
	p.env = append(p.env, part{v, d})
}

// resolve makes a constant of a byte whose variable has only one value left.
func (p *path) resolve(w *walker, s symbol) symbol {
	if s.variable > 0 {
		if n, ok := p.domain(w, s.variable).single(); ok {
			return constant(n.octet(s.index, w.vars[s.variable].width)&s.and ^ s.xor)
		}
	}
	return s
}

// region is n bytes of register memory with known values filled in.
func (p *path) region(w *walker, offset, n int) []symbol {
	r := p.regs[offset : offset+n]
	for i := range r {
		r[i] = p.resolve(w, r[i])
	}
	return r
}

// store puts bytes into a register and, as the kernel does, zeroes the rest of
// the last word.
func (p *path) store(offset int, b []symbol) {
	n := copy(p.regs[offset:], b)
	for i := offset + n; i%4 != 0; i++ {
		p.regs[i] = constant(0)
	}
}

func (p *path) storeBytes(offset int, b []byte) {
	for i, c := range b {
		p.regs[offset+i] = constant(c)
	}
	p.store(offset+len(b), nil)
}

// storeVariable loads a variable in network order, or in the host's.
func (p *path) storeVariable(w *walker, offset int, v int32, host bool) {
	width := w.vars[v].width
	for i := range width {
		at := i
		if host && littleEndian() {
			at = width - 1 - i
		}
		p.regs[offset+int(i)] = p.resolve(w, symbol{variable: v, index: at, and: 0xff})
	}
	p.store(offset+int(width), nil)
}

// clone is a copy that goes its own way, taken from the walker's discarded ones.
func (p *path) clone(w *walker) *path {
	var q *path
	if k := len(w.discarded) - 1; k >= 0 {
		q, w.discarded = w.discarded[k], w.discarded[:k]
	} else {
		q = &path{}
	}
	stack, env := append(q.stack[:0], p.stack...), append(q.env[:0], p.env...)
	*q = *p
	q.stack, q.env = stack, env
	return q
}
