package verify

import (
	"bytes"
	"encoding/binary"
)

// symbol is one byte of a register: a constant (variable 0: the xor), or byte
// index of a variable, masked and xored.
//
// Registers are kept by bytes because everything that nf_tables does between
// loading and comparing moves or masks bytes: byte order, concatenation, host
// addresses cut to their prefix.
type symbol struct {
	variable        int32
	index, and, xor uint8
}

// undefined is the variable of a register byte that nothing was loaded into.
const undefined = -1

func constant(b byte) symbol { return symbol{xor: b} }

func (s symbol) isConst() bool { return s.variable == 0 }

// mask is (s & and) ^ xor.
func (s symbol) masked(and, xor byte) symbol {
	s.and &= and
	s.xor = s.xor&and ^ xor
	if s.and == 0 && s.variable > 0 {
		return constant(s.xor)
	}
	return s
}

// littleEndian tells how the host keeps numbers in registers.
func littleEndian() bool {
	return binary.NativeEndian.Uint16([]byte{1, 0}) == 1
}

// part demands that a variable is in a domain.
type part struct {
	variable int32
	in       domain
}

// condition is a conjunction of parts. Exactly one of always, never, reason and
// parts says what it is.
type condition struct {
	always, never bool
	// reason says why the condition cannot be told.
	reason string
	parts  []part
}

func certain(b bool) condition { return condition{always: b, never: !b} }

func cannotTell(reason string) condition { return condition{reason: reason} }

// constants is the region as bytes if nothing in it is symbolic.
func constants(region []symbol, buf []byte) ([]byte, bool) {
	buf = buf[:0]
	for _, s := range region {
		if !s.isConst() {
			return nil, false
		}
		buf = append(buf, s.xor)
	}
	return buf, true
}

// equals is the condition that a region has the given bytes.
func (w *walker) equals(p *path, region []symbol, want []byte) condition {
	type bit struct {
		variable    int32
		mask, value num
	}
	var found [8]bit
	n := 0
	for i, s := range region {
		if s.isConst() {
			if s.xor != want[i] {
				return certain(false)
			}
			continue
		}
		if s.variable == undefined {
			return cannotTell("register was never loaded")
		}
		value := want[i] ^ s.xor
		if value&^s.and != 0 {
			return certain(false)
		}
		k := 0
		for k < n && found[k].variable != s.variable {
			k++
		}
		if k == len(found) {
			return cannotTell("comparison of too many fields at once")
		}
		if k == n {
			found[n] = bit{variable: s.variable}
			n++
		}
		at := uint(w.vars[s.variable].width-1-s.index) * 8
		mask, val := small(uint64(s.and)).shl(at), small(uint64(value)).shl(at)
		if both := found[k].mask.and(mask); found[k].value.and(both) != val.and(both) {
			return certain(false)
		}
		found[k].mask, found[k].value = found[k].mask.or(mask), found[k].value.or(val)
	}
	c := condition{always: n == 0}
	for _, b := range found[:n] {
		v, in, ok := w.bits(p, b.variable, b.mask, b.value)
		if !ok {
			return cannotTell("mask on " + w.vars[b.variable].name)
		}
		c.parts = append(c.parts, part{v, in})
	}
	return c
}

// bits is the domain of variable & mask == value. A mask that is a prefix is a
// range. Another one on a wide free variable becomes a variable of its own, for
// what is under the mask: that admits more packets than there are, never fewer.
func (w *walker) bits(p *path, variable int32, mask, value num) (int32, domain, bool) {
	v := &w.vars[variable]
	all := ones(v.width)
	rest := all.and(mask.not())
	if rest.and(rest.inc()).zero() {
		return variable, domain{{value, value.or(rest)}}, true
	}
	if in, ok := w.filter(p, variable, func(n num) bool { return n.and(mask) == value }); ok {
		return variable, in, true
	}
	if v.kind != free {
		return 0, nil, false
	}
	derived := w.variable(key{kind: keyMask, a: uint64(variable), b: mask.hi, c: mask.lo},
		v.name+" & "+mask.hex(), v.width, free)
	return derived, only(value), true
}

// atMost is the condition that a region, compared as memcmp does, is not above
// the limit.
func (w *walker) atMost(p *path, region []symbol, limit []byte) condition {
	for len(region) > 0 && region[0].isConst() {
		if region[0].xor != limit[0] {
			return certain(region[0].xor < limit[0])
		}
		region, limit = region[1:], limit[1:]
	}
	if len(region) == 0 {
		return certain(true)
	}
	v := region[0].variable
	if v == undefined {
		return cannotTell("register was never loaded")
	}
	if in, ok := w.prefixAtMost(v, region, limit); ok {
		return condition{parts: []part{{v, in}}}
	}
	return w.filtered(p, v, region, func(b []byte) bool { return bytes.Compare(b, limit) <= 0 })
}

// prefixAtMost solves the usual case: the region is the variable from its
// highest byte on, whole, then constants.
func (w *walker) prefixAtMost(v int32, region []symbol, limit []byte) (domain, bool) {
	width := w.vars[v].width
	n := 0
	for n < len(region) && n < int(width) && region[n] == (symbol{v, uint8(n), 0xff, 0}) {
		n++
	}
	for _, s := range region[n:] {
		if !s.isConst() {
			return nil, false
		}
	}
	if n == 0 {
		return nil, false
	}
	shift := uint(int(width)-n) * 8
	bound := bigEndian(limit[:n])
	for i, s := range region[n:] {
		if s.xor == limit[n+i] {
			continue
		}
		if s.xor > limit[n+i] {
			if bound.zero() {
				return nil, true
			}
			bound = bound.dec()
		}
		break
	}
	return domain{{num{}, bound.shl(shift).or(ones(width - uint8(n)))}}, true
}

// filter asks value by value, which counts against the walk's limit.
func (w *walker) filter(p *path, v int32, keep func(num) bool) (domain, bool) {
	d := p.domain(w, v)
	if n, ok := d.count(); ok && n <= smallDomain {
		w.steps += int(n) / valuesPerStep
	}
	return d.filter(keep)
}

// valuesPerStep is how many values are as much work as one step.
const valuesPerStep = 8

// filtered asks value by value: for regions over one variable with few values.
func (w *walker) filtered(p *path, v int32, region []symbol, keep func([]byte) bool) condition {
	for _, s := range region {
		if !s.isConst() && s.variable != v {
			return cannotTell("comparison of several fields at once")
		}
	}
	width := w.vars[v].width
	buf := make([]byte, len(region))
	in, ok := w.filter(p, v, func(n num) bool {
		for i, s := range region {
			buf[i] = s.xor
			if s.variable == v {
				buf[i] = n.octet(s.index, width)&s.and ^ s.xor
			}
		}
		return keep(buf)
	})
	if !ok {
		return cannotTell("order of " + w.vars[v].name)
	}
	return condition{parts: []part{{v, in}}}
}

// within is the condition that a region is in an inclusive range.
func (w *walker) within(p *path, region []symbol, from, to []byte) condition {
	high := w.atMost(p, region, to)
	if high.reason != "" || high.never {
		return high
	}
	below, ok := before(from)
	if !ok {
		return high
	}
	low := w.atMost(p, region, below)
	switch {
	case low.reason != "":
		return low
	case low.always:
		return certain(false)
	case low.never:
		return high
	}
	v := low.parts[0].variable
	in := p.domain(w, v)
	if !high.always {
		in = high.parts[0].in
	}
	return condition{parts: []part{{v, in.subtract(low.parts[0].in)}}}
}

// before is the byte string of the same length that comes just before b.
func before(b []byte) ([]byte, bool) {
	c := bytes.Clone(b)
	for i := len(c) - 1; i >= 0; i-- {
		c[i]--
		if c[i] != 0xff {
			return c, true
		}
	}
	return nil, false
}
