package verify

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sort"
)

// num is an unsigned 128-bit number: wide enough for every field of a packet.
type num struct{ hi, lo uint64 }

// numWidth is the width of a num in bytes.
const numWidth = 16

func small(n uint64) num { return num{lo: n} }

// bigEndian is the number that up to 16 bytes spell.
func bigEndian(b []byte) num {
	var w [numWidth]byte
	copy(w[numWidth-len(b):], b)
	return num{binary.BigEndian.Uint64(w[:8]), binary.BigEndian.Uint64(w[8:])}
}

func (n num) cmp(m num) int {
	switch {
	case n.hi < m.hi || n.hi == m.hi && n.lo < m.lo:
		return -1
	case n == m:
		return 0
	}
	return 1
}

func (n num) less(m num) bool { return n.cmp(m) < 0 }

func (n num) inc() num {
	lo, carry := bits.Add64(n.lo, 1, 0)
	return num{n.hi + carry, lo}
}

func (n num) dec() num {
	lo, borrow := bits.Sub64(n.lo, 1, 0)
	return num{n.hi - borrow, lo}
}

func (n num) and(m num) num { return num{n.hi & m.hi, n.lo & m.lo} }
func (n num) or(m num) num  { return num{n.hi | m.hi, n.lo | m.lo} }
func (n num) not() num      { return num{^n.hi, ^n.lo} }

func (n num) zero() bool { return n == num{} }

// shl shifts left by fewer than 128 bits.
func (n num) shl(k uint) num {
	if k >= 64 {
		return num{hi: n.lo << (k - 64)}
	}
	if k == 0 {
		return n
	}
	return num{n.hi<<k | n.lo>>(64-k), n.lo << k}
}

// octet is byte i of a number of width bytes, counted from the highest.
func (n num) octet(i, width uint8) byte {
	at := uint(width-1-i) * 8
	if at >= 64 {
		return byte(n.hi >> (at - 64))
	}
	return byte(n.lo >> at)
}

// ones is the largest number of width bytes.
func ones(width uint8) num {
	if width >= 16 {
		return num{^uint64(0), ^uint64(0)}
	}
	return num{}.not().and(small(1).shl(uint(width) * 8).dec())
}

// span is an inclusive range.
type span struct{ lo, hi num }

func (s span) within(t span) bool { return !s.lo.less(t.lo) && !t.hi.less(s.hi) }

// domain is the set of values that something may have: sorted spans that
// neither touch nor overlap. A domain is never changed in place.
type domain []span

func full(width uint8) domain { return domain{{num{}, ones(width)}} }

func only(n num) domain { return domain{{n, n}} }

// newDomain sorts and joins spans.
func newDomain(spans []span) domain {
	slices.SortFunc(spans, func(a, b span) int { return a.lo.cmp(b.lo) })
	var d domain
	for _, s := range spans {
		if k := len(d) - 1; k >= 0 && (!d[k].hi.less(s.lo) || d[k].hi.inc() == s.lo) {
			if d[k].hi.less(s.hi) {
				d[k].hi = s.hi
			}
			continue
		}
		d = append(d, s)
	}
	return d
}

func (d domain) empty() bool { return len(d) == 0 }

func (d domain) single() (num, bool) {
	if len(d) == 1 && d[0].lo == d[0].hi {
		return d[0].lo, true
	}
	return num{}, false
}

// from is the index of the first span that does not end before n.
func (d domain) from(n num) int {
	if len(d) < 8 {
		for i := range d {
			if !d[i].hi.less(n) {
				return i
			}
		}
		return len(d)
	}
	return sort.Search(len(d), func(i int) bool { return !d[i].hi.less(n) })
}

func (d domain) contains(n num) bool {
	i := d.from(n)
	return i < len(d) && !n.less(d[i].lo)
}

// meets reports whether a value is in both.
func (d domain) meets(s span) bool {
	i := d.from(s.lo)
	return i < len(d) && !s.hi.less(d[i].lo)
}

func (d domain) intersect(e domain) domain {
	if len(d) > len(e) {
		d, e = e, d
	}
	if len(d) == 1 && len(e) == 1 {
		switch {
		case d[0].within(e[0]):
			return d
		case e[0].within(d[0]):
			return e
		}
	}
	var out domain
	for _, s := range d {
		for i := e.from(s.lo); i < len(e) && !s.hi.less(e[i].lo); i++ {
			out = append(out, span{maxNum(s.lo, e[i].lo), minNum(s.hi, e[i].hi)})
		}
	}
	return out
}

func (d domain) subtract(e domain) domain {
	var out domain
	for _, s := range d {
		lo, open := s.lo, true
		for i := e.from(s.lo); i < len(e) && !s.hi.less(e[i].lo); i++ {
			if lo.less(e[i].lo) {
				out = append(out, span{lo, e[i].lo.dec()})
			}
			if !e[i].hi.less(s.hi) {
				open = false
				break
			}
			lo = e[i].hi.inc()
		}
		if open {
			out = append(out, span{lo, s.hi})
		}
	}
	return out
}

func (d domain) equal(e domain) bool { return slices.Equal(d, e) }

// count is the number of values; false if it does not fit.
func (d domain) count() (uint64, bool) {
	var n uint64
	for _, s := range d {
		lo, borrow := bits.Sub64(s.hi.lo, s.lo.lo, 0)
		if s.hi.hi-s.lo.hi-borrow != 0 || lo == ^uint64(0) {
			return 0, false
		}
		var carry uint64
		if n, carry = bits.Add64(n, lo+1, 0); carry != 0 {
			return 0, false
		}
	}
	return n, true
}

// smallDomain is how many values are looked at one by one where a condition
// cannot be solved for its bounds.
const smallDomain = 1 << 16

// filter keeps the values for which keep answers true; false if there are too
// many to ask for.
func (d domain) filter(keep func(num) bool) (domain, bool) {
	if n, ok := d.count(); !ok || n > smallDomain {
		return nil, false
	}
	var out domain
	for _, s := range d {
		for n := s.lo; ; n = n.inc() {
			if keep(n) {
				if k := len(out) - 1; k >= 0 && out[k].hi.inc() == n {
					out[k].hi = n
				} else {
					out = append(out, span{n, n})
				}
			}
			if n == s.hi {
				break
			}
		}
	}
	return out, true
}

func minNum(a, b num) num {
	if a.less(b) {
		return a
	}
	return b
}

func maxNum(a, b num) num {
	if a.less(b) {
		return b
	}
	return a
}

// format writes the domain with up to limit spans.
func (d domain) format(limit int, one func(num) string) string {
	s := ""
	for i, r := range d {
		if i == limit {
			return s + fmt.Sprintf(", and %d more", len(d)-limit)
		}
		if i > 0 {
			s += ", "
		}
		s += one(r.lo)
		if r.hi != r.lo {
			s += "-" + one(r.hi)
		}
	}
	return s
}

func (n num) hex() string {
	if n.hi != 0 {
		return fmt.Sprintf("0x%x%016x", n.hi, n.lo)
	}
	return fmt.Sprintf("0x%x", n.lo)
}
