package verify

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"weft/render/verify/nfnl"
)

// eval runs one expression; false ends this turn of the path.
func (w *walker) eval(p *path, e nfnl.Expr) bool {
	switch e := e.(type) {
	case *nfnl.Meta:
		return w.meta(p, e)
	case *nfnl.Payload:
		return w.payload(p, e)
	case *nfnl.Cmp:
		return w.compare(p, e)
	case *nfnl.Range:
		c := w.within(p, p.region(w, e.Sreg.Offset(), len(e.From)), e.From, e.To)
		return w.match(p, c, e.Op != 0)
	case *nfnl.Bitwise:
		return w.bitwise(p, e)
	case *nfnl.Byteorder:
		return w.byteorder(p, e)
	case *nfnl.Lookup:
		return w.lookup(p, e)
	case *nfnl.Immediate:
		if e.Verdict != nil {
			return w.verdict(p, e.Verdict)
		}
		p.storeBytes(e.Dreg.Offset(), e.Data)
		return true
	case *nfnl.Numgen:
		return w.numgen(p, e)
	case *nfnl.Hash:
		return w.hash(p, e)
	case *nfnl.Ct:
		return w.ct(p, e)
	case *nfnl.Fib:
		return w.fib(p, e)
	case *nfnl.Passive:
		return true
	}
	return w.statement(p, e)
}

func (w *walker) statement(p *path, e nfnl.Expr) bool {
	switch e := e.(type) {
	case *nfnl.Nat:
		return w.nat(p, e)
	case *nfnl.Masq:
		return w.sourceNAT(p, sourceNAT{done: true, masquerade: true}, step{what: "masquerade"})
	case *nfnl.Redir:
		w.note(p, step{what: "redirect"})
		return w.end(p, leafRedirected)
	case *nfnl.Notrack:
		p.untracked = p.untracked || w.bases[p.base].early // later it has no effect
		return true
	case *nfnl.Limit, *nfnl.Quota, *nfnl.Dynset: // a set may be full
		return w.sometimes(p, e.String(), false)
	case *nfnl.Objref:
		return w.object(p, e)
	case *nfnl.Reject:
		w.note(p, step{what: "reject"})
		return w.end(p, leafDropped)
	}
	return w.unknown(p, e.String())
}

func (w *walker) compare(p *path, e *nfnl.Cmp) bool {
	region := p.region(w, e.Sreg.Offset(), len(e.Data))
	switch e.Op {
	case nfnl.CmpEq, nfnl.CmpNeq:
		return w.match(p, w.equals(p, region, e.Data), e.Op == nfnl.CmpNeq)
	case nfnl.CmpLte, nfnl.CmpGt:
		return w.match(p, w.atMost(p, region, e.Data), e.Op == nfnl.CmpGt)
	}
	// below: at most what comes before; nothing comes before zero
	limit, ok := before(e.Data)
	c := certain(false)
	if ok {
		c = w.atMost(p, region, limit)
	}
	return w.match(p, c, e.Op == nfnl.CmpGte)
}

func (w *walker) bitwise(p *path, e *nfnl.Bitwise) bool {
	n := int(e.Len)
	src := p.region(w, e.Sreg.Offset(), n)
	if e.Op != nfnl.BitwiseMaskXor {
		return w.shift(p, e, src)
	}
	out := make([]symbol, n)
	for i, s := range src {
		if s.variable == undefined {
			return w.unknown(p, "register was never loaded")
		}
		out[i] = s.masked(e.Mask[i], e.Xor[i])
	}
	p.store(e.Dreg.Offset(), out)
	return true
}

// shift shifts constants, in 32-bit words of the host with carry between them
// (nft_bitwise.c).
func (w *walker) shift(p *path, e *nfnl.Bitwise, src []symbol) bool {
	b, ok := constants(src, nil)
	k := e.Shift()
	if !ok || k == 0 || k >= 32 {
		return w.unknown(p, "shift of what is not known")
	}
	out, carry := make([]byte, len(b)), uint32(0)
	if e.Op == nfnl.BitwiseLeftShift {
		for i := len(b) - 4; i >= 0; i -= 4 {
			v := binary.NativeEndian.Uint32(b[i:])
			binary.NativeEndian.PutUint32(out[i:], v<<k|carry)
			carry = v >> (32 - k)
		}
	} else {
		for i := 0; i < len(b); i += 4 {
			v := binary.NativeEndian.Uint32(b[i:])
			binary.NativeEndian.PutUint32(out[i:], v>>k|carry)
			carry = v << (32 - k)
		}
	}
	p.storeBytes(e.Dreg.Offset(), out)
	return true
}

func (w *walker) byteorder(p *path, e *nfnl.Byteorder) bool {
	size := int(e.Size)
	n := int(e.Len) / size * size
	src := p.region(w, e.Sreg.Offset(), n)
	out := make([]symbol, n)
	for i := range out {
		at := i
		if littleEndian() {
			at = i/size*size + size - 1 - i%size
		}
		out[i] = src[at]
	}
	copy(p.regs[e.Dreg.Offset():], out)
	return true
}

// number makes a variable for a number in [offset, offset+modulus).
func (w *walker) number(name string, modulus, offset uint32) int32 {
	first := small(uint64(offset))
	last := small(uint64(offset) + uint64(modulus) - 1)
	return w.draw(variable{name: name, width: 4, kind: drawn, dom: domain{{first, last}}, modulus: uint64(modulus)})
}

// numgen draws a number. One that counts is as even as one that is random, but two
// of them on one way, or one twice, go in step: what they have in common cannot be
// told.
func (w *walker) numgen(p *path, e *nfnl.Numgen) bool {
	if !e.Random {
		if p.counted {
			return w.unknown(p, "numgen inc behind another one")
		}
		p.counted = true
		w.met = append(w.met, p.chain.mark.counter(p.chain.list[p.rule].handle, p.expr))
	}
	p.storeDrawn(w, e.Dreg.Offset(), w.number("numgen", e.Modulus, e.Offset))
	return true
}

// storeDrawn loads a drawn number and records that it was drawn.
func (p *path) storeDrawn(w *walker, offset int, v int32) {
	if narrowed(p.env, v) == nil {
		p.narrow(v, w.vars[v].dom)
	}
	p.storeVariable(w, offset, v, true)
}

// hash draws a number for what is hashed. A hash of bytes that differ between
// packets is taken as uniform; the same hash of the same bytes is the same number.
func (w *walker) hash(p *path, e *nfnl.Hash) bool {
	name, client := "symhash", false
	if e.Type == nfnl.HashJenkins {
		region := p.region(w, e.Sreg.Offset(), int(e.Len))
		if !w.varies(p, region) {
			return w.unknown(p, "jhash of what is the same for every packet")
		}
		name, client = fmt.Sprintf("jhash %v", region), e.Seeded && isSource(region)
	}
	id := fmt.Sprintf("%s %d", name, e.Seed)
	if !e.Seeded && e.Type == nfnl.HashJenkins {
		id = fmt.Sprintf("%s %p", name, e) // the kernel chose a seed for this rule
	}
	h, ok := w.hashes[id]
	if !ok {
		h = hashed{w.number(name[:5], e.Modulus, e.Offset), e.Modulus, e.Offset}
		w.vars[h.variable].client = client
		if w.hashes == nil {
			w.hashes = map[string]hashed{}
		}
		w.hashes[id] = h
	}
	if h.modulus != e.Modulus || h.offset != e.Offset {
		return w.unknown(p, "the same hash with another modulus")
	}
	p.storeDrawn(w, e.Dreg.Offset(), h.variable)
	return true
}

// isSource reports whether nothing but the packet's source can differ in a region.
func isSource(region []symbol) bool {
	for _, s := range region {
		if !s.isConst() && s.variable != varSaddr {
			return false
		}
	}
	return true
}

// varies reports whether so much of the packet's source is in a region that a hash
// of it can be taken as uniform. Nothing else is sure to differ between packets: a
// mark or an interface may be the same for all.
func (w *walker) varies(p *path, region []symbol) bool {
	kept := map[int32]int{}
	for _, s := range region {
		if s.variable != varSaddr && s.variable != varSport {
			continue
		}
		if n, ok := p.domain(w, s.variable).count(); !ok || n >= smallDomain {
			kept[s.variable] += bits.OnesCount8(s.and)
		}
	}
	return kept[varSaddr] >= hashedBits || kept[varSport] >= hashedBits
}

// hashedBits is how much of an address or port has to differ.
const hashedBits = 16

// sometimes is a condition that depends on other packets: even for one packet it
// may be another the second time.
func (w *walker) sometimes(p *path, what string, invert bool) bool {
	k := key{kind: keyRule, a: p.chain.list[p.rule].handle, b: uint64(p.expr), c: p.chain.Handle}
	v := w.variable(k, what, 1, free)
	for narrowed(p.env, v) != nil {
		k.again++
		v = w.variable(k, what, 1, free)
	}
	return w.match(p, condition{parts: []part{{v, only(small(1))}}}, invert)
}

// object uses a named object (NFT_OBJECT_*): counters, helpers, timeouts and
// secmarks let packets on; quotas and limits sometimes.
func (w *walker) object(p *path, e *nfnl.Objref) bool {
	kind := e.Type
	if e.Set != "" {
		s := p.chain.table.sets[e.Set]
		if s == nil {
			return w.unknown(p, "set "+e.Set+" is missing")
		}
		kind = s.ObjType
		// an object map without the key breaks off the rule, so both are possible
		if kind == 1 {
			return w.sometimes(p, e.String(), false)
		}
	}
	switch kind {
	case 1, 3, 7, 8:
		return true
	case 2, 4, 5:
		return w.sometimes(p, e.String(), false)
	}
	return w.unknown(p, e.String())
}
