package verify

import (
	"fmt"
	"net/netip"

	"weft/render/verify/nfnl"
)

// Limits of one walk. Rules that need more cannot be told: a condition on a free
// variable may double the paths, so a few dozen of them one after the other are
// too many.
const (
	// maxSteps is enough for one packet to ten thousand endpoints, maxManySteps for
	// all NodePorts at once.
	maxSteps     = 1 << 17
	maxManySteps = 1 << 20
	maxPending   = 1 << 16
	maxVariables = 1 << 18
	// maxJumps is NFT_JUMP_STACK_SIZE.
	maxJumps = 16
)

// leafKind is how a path ends.
type leafKind uint8

const (
	leafThrough leafKind = iota
	leafTranslated
	leafDropped
	leafUnknown
	leafRedirected
)

// leaf is the end of a path with the part of the packets that get there.
type leaf struct {
	kind   leafKind
	to     netip.AddrPort
	source sourceNAT
	weight Fraction
	// modulus is the largest number of slots drawn from on the way; 0 is none.
	modulus uint64
	// random says that something was drawn for the connection, not for its client.
	random bool
	env    []part // of what was not drawn
	draws  []part // of what was, if the walker keeps that
	reason string
	// priority is that of the chain that translated.
	priority     int32
	untracked    bool
	mark, ctMark [4]symbol
	trail        *step
}

// walker runs one question through the rules.
type walker struct {
	rs     *Ruleset
	hook   Hook
	v6     bool
	local  bool   // the destination is an address of this host
	known  bool   // the packets are those of connections that are known for long
	silent string // the set that is taken for empty; none is ""
	status uint32
	orig   [2]int32 // the variables of the original daddr and dport

	bases  []base
	vars   []variable
	keys   map[key]int32
	hashes map[string]hashed

	pending   []*path
	discarded []*path
	steps     int
	limit     int
	gaveUp    int
	leaves    []leaf

	// met is what the walks came to since it was taken last.
	met []mark
	// focus leaves out the packets that do not look one of its keys up; nil is none.
	focus *focus
	// near and nearParts are the memory of the candidates of one lookup.
	near      []candidate
	nearParts []part
	// keepDraws makes leaves keep what was drawn on their way.
	keepDraws bool
}

// takeMet gives what was met and begins anew.
func (w *walker) takeMet() []mark {
	met := w.met
	w.met = w.met[:0]
	return met
}

// hashed is a hash that was already computed on the way: the same hash of the
// same bytes is the same number.
type hashed struct {
	variable        int32
	modulus, offset uint32
}

func (w *walker) variable(k key, name string, width uint8, kind kind) int32 {
	if v, ok := w.keys[k]; ok {
		return v
	}
	if w.keys == nil {
		w.keys = map[key]int32{}
	}
	v := w.draw(variable{name: name, width: width, kind: kind, dom: full(width)})
	w.keys[k] = v
	return v
}

func (w *walker) draw(v variable) int32 {
	w.vars = append(w.vars, v)
	return int32(len(w.vars) - 1)
}

// run walks from p on, and everything that splits off, until nothing is left.
func (w *walker) run(p *path) {
	w.enter(p, 0)
	for len(w.pending) > 0 {
		k := len(w.pending) - 1
		p := w.pending[k]
		w.pending = w.pending[:k]
		for w.step(p) {
		}
		w.discarded = append(w.discarded, p)
		if w.exhausted() {
			w.giveUp()
		}
	}
}

func (w *walker) exhausted() bool {
	return w.steps > w.limit || len(w.pending) > maxPending || len(w.vars) > maxVariables
}

// giveUp replaces everything that was found by one end that cannot be told.
func (w *walker) giveUp() {
	w.pending, w.gaveUp = w.pending[:0], w.gaveUp+1
	w.leaves = append(w.leaves[:0], leaf{kind: leafUnknown, reason: "too many ways through the rules", weight: NewFraction(1, 1)})
}

// push lets a path go on later.
func (w *walker) push(p *path) {
	w.pending = append(w.pending, p)
}

// enter begins base chain i, or ends the path behind the last one.
func (w *walker) enter(p *path, i int) {
	for i < len(w.bases) && w.bases[i].Type == "nat" && (w.known || p.untracked || p.dnat || p.source.done) {
		i++ // conntrack has what it wants: no further nat chain is asked
	}
	if i >= len(w.bases) {
		w.finish(p)
		return
	}
	p.base, p.chain, p.rule, p.expr, p.stack = i, w.bases[i].chain, 0, 0, p.stack[:0]
	w.met = append(w.met, p.chain.mark)
	if why := w.bases[i].doubt; why != "" {
		w.unknown(p, why)
		return
	}
	for k := range p.regs {
		p.regs[k] = symbol{variable: undefined}
	}
	w.push(p)
}

// step runs one expression; false ends this turn of the path.
func (w *walker) step(p *path) bool {
	w.steps++
	if w.exhausted() {
		return false
	}
	if p.rule >= len(p.chain.list) {
		return w.endOfChain(p)
	}
	n, ok := p.chain.number(&p.chain.list[p.rule], p.expr)
	if !ok {
		p.nextRule()
		return true
	}
	p.expr++
	if c := p.chain.pool.immediate(n); c != nil {
		p.storeBytes(c.register.Offset(), c.value())
		return true
	}
	return w.eval(p, p.chain.pool.all[n])
}

func (p *path) nextRule() { p.rule, p.expr = p.rule+1, 0 }

func (w *walker) endOfChain(p *path) bool {
	if k := len(p.stack) - 1; k >= 0 {
		p.chain, p.rule, p.expr, p.stack = p.stack[k].chain, p.stack[k].rule, 0, p.stack[:k]
		return true
	}
	base := w.bases[p.base]
	switch base.Policy {
	case nfnl.VerdictDrop:
		p.trail = &step{chain: base.chain, what: "policy drop", prev: p.trail}
		return w.end(p, leafDropped)
	case nfnl.VerdictAccept:
		return w.accepted(p)
	}
	return w.unknown(p, fmt.Sprintf("policy %d", base.Policy))
}

// accepted goes on to the next base chain: an accept ends only its own.
func (w *walker) accepted(p *path) bool {
	w.enter(p, p.base+1)
	if k := len(w.pending) - 1; k >= 0 && w.pending[k] == p {
		w.pending = w.pending[:k]
		return true
	}
	return false
}

// verdict sends a path on.
func (w *walker) verdict(p *path, v *nfnl.Verdict) bool {
	switch v.Code {
	case nfnl.VerdictContinue:
		return true
	case nfnl.VerdictBreak:
		p.nextRule()
		return true
	case nfnl.VerdictReturn:
		p.rule = len(p.chain.list)
		return true
	case nfnl.VerdictAccept:
		w.note(p, step{verdict: v})
		return w.accepted(p)
	case nfnl.VerdictDrop:
		w.note(p, step{verdict: v})
		return w.end(p, leafDropped)
	case nfnl.VerdictJump, nfnl.VerdictGoto:
		return w.jump(p, v)
	}
	return w.unknown(p, v.String())
}

func (w *walker) jump(p *path, v *nfnl.Verdict) bool {
	to := p.chain.table.chains[v.Chain]
	if to == nil {
		return w.unknown(p, "chain "+v.Chain+" is missing")
	}
	w.note(p, step{verdict: v})
	if v.Code == nfnl.VerdictJump {
		if len(p.stack) >= maxJumps {
			return w.unknown(p, "jumps are too deep")
		}
		p.stack = append(p.stack, frame{p.chain, p.rule + 1})
	}
	p.chain, p.rule, p.expr = to, 0, 0
	w.met = append(w.met, to.mark)
	return true
}

// note adds the current rule to the path's trail.
func (w *walker) note(p *path, s step) {
	s.chain, s.prev = p.chain, p.trail
	if p.rule < len(p.chain.list) {
		s.rule = &p.chain.list[p.rule]
	}
	p.trail = &s
}

// unknown ends a path at what is not understood.
func (w *walker) unknown(p *path, reason string) bool {
	w.note(p, step{what: "?"})
	w.emit(p, leaf{kind: leafUnknown, reason: reason})
	return false
}

func (w *walker) end(p *path, k leafKind) bool {
	w.emit(p, leaf{kind: k})
	return false
}

// finish ends a path that went through all chains.
func (w *walker) finish(p *path) {
	l := leaf{kind: leafThrough}
	if p.dnat {
		l.kind, l.to = leafTranslated, p.to
	}
	w.emit(p, l)
}

// emit records a leaf with the probability of its path: of each number drawn,
// the part of the values that are left.
func (w *walker) emit(p *path, l leaf) {
	l.trail, l.source, l.priority, l.mark, l.ctMark, l.untracked = p.trail, p.source, p.priority, p.mark, p.ctMark, p.untracked
	l.weight = Fraction{num: 1, den: 1}
	for _, e := range p.env {
		v := &w.vars[e.variable]
		if v.kind != drawn {
			l.env = append(l.env, e)
			continue
		}
		if w.keepDraws {
			l.draws = append(l.draws, e)
		}
		n, _ := e.in.count()
		l.weight = l.weight.mul(NewFraction(n, v.modulus))
		l.modulus = max(l.modulus, v.modulus)
		l.random = l.random || !v.client
	}
	w.leaves = append(w.leaves, l)
}

// match splits a path: what meets the condition goes on behind the expression,
// the rest with the next rule.
func (w *walker) match(p *path, c condition, invert bool) bool {
	if c.reason != "" {
		return w.unknown(p, c.reason)
	}
	yes, no := w.split(p, c)
	if invert {
		for _, q := range no {
			w.push(q)
		}
		if yes != nil {
			yes.nextRule()
			w.push(yes)
		}
		return w.resume(p)
	}
	for _, q := range no {
		q.nextRule()
		w.push(q)
	}
	if yes != nil {
		w.push(yes)
	}
	return w.resume(p)
}

// resume goes on with p if it is what was pushed last, which saves a turn;
// otherwise p is somewhere on the list or used up.
func (w *walker) resume(p *path) bool {
	if k := len(w.pending) - 1; k >= 0 && w.pending[k] == p {
		w.pending = w.pending[:k]
		return true
	}
	return false
}

// split divides a path into the one that meets the condition (nil if none can)
// and those that do not, which do not overlap.
func (w *walker) split(p *path, c condition) (yes *path, no []*path) {
	switch {
	case c.always:
		return p, nil
	case c.never:
		return nil, []*path{p}
	}
	for _, part := range c.parts {
		d := p.domain(w, part.variable)
		in, out := d.intersect(part.in), d.subtract(part.in)
		if in.empty() {
			return nil, append(no, p)
		}
		if !out.empty() {
			q := p.clone(w)
			q.narrow(part.variable, out)
			no = append(no, q)
			p.narrow(part.variable, in)
		}
	}
	return p, no
}
