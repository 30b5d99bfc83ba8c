package state

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// This file turns shares into slots: how many of a numgen's numbers lead to an
// endpoint. It is the largest remainder method (Hamilton's), with one slot at
// least for every endpoint that has a share. Shares become integers first, so
// that the sums are exact and the order of the endpoints never matters.

// precision is the part of its share by which an endpoint's slots may be off
// before [Modulus] takes a larger modulus.
const precision = 0.01

// shareUnit is how many integer parts a share of 1 has. 65536 endpoints of it
// still add up in 63 bits.
const shareUnit = 1 << 46

// moduli are the moduli that Modulus chooses from. People read the first three
// as parts of a hundred and so on.
var moduli = [...]int{100, 1000, 10000, 65536}

// Modulus is the smallest of 100, 1000, 10000 and 65536 with which every
// endpoint's slots are within 1 % of its share, whichever way [Slots] breaks its
// ties, so that all nodes choose the same. If none is, it is 65536 and not exact.
// The endpoints are those of one address family.
func Modulus(eps []Endpoint) (modulus int, exact bool) {
	var buf [32]part
	for _, m := range moduli {
		parts, err := newParts(buf[:0], eps, m)
		if err == nil && isPrecise(parts, m) {
			return m, true
		}
	}
	return moduli[len(moduli)-1], false
}

// Slots deals modulus slots out to endpoints of one address family by their
// shares: exactly modulus in sum, at least one for a share above 0, none for a
// share of 0. Ties go by a hash of the node's name and the endpoint, so that the
// agents of a cluster do not all favour the same one.
//
// It is an error if a share is no number from 0 up, if no share is above 0, or if
// more are than there are slots.
func Slots(node string, eps []Endpoint, modulus int) ([]int, error) {
	var buf [32]part
	parts, err := newParts(buf[:0], eps, modulus)
	if err != nil {
		return nil, err
	}
	left := deal(parts, modulus)
	slots := make([]int, len(eps))
	for i := range parts {
		parts[i].tie = tieBreak(node, &eps[parts[i].index])
	}
	slices.SortFunc(parts, func(a, b part) int { return compareParts(&a, &b, eps) })
	for i, p := range parts {
		slots[p.index] = p.slots
		if i < left {
			slots[p.index]++
		}
	}
	return slots, nil
}

// part is what an endpoint with a share above 0 gets.
type part struct {
	index     int
	weight    uint64 // its share in parts of shareUnit
	slots     int    // without what is left to be dealt out
	remainder uint64 // of the division that gave slots
	fixed     bool   // its quota was below one slot, so it has one and no more
	tie       uint64
}

// newParts appends the parts of the endpoints that have a share to parts.
func newParts(parts []part, eps []Endpoint, modulus int) ([]part, error) {
	if modulus < 1 || modulus > 1<<16 {
		return nil, fmt.Errorf("modulus %d, expected 1 to 65536", modulus)
	}
	for i := range eps {
		share := eps[i].Share
		if !(share >= 0 && share <= 1) {
			return nil, fmt.Errorf("endpoint %s has the share %v, expected 0 to 1", eps[i].AddrPort(), share)
		}
		if share == 0 {
			continue
		}
		if len(parts) == modulus {
			return nil, fmt.Errorf("more endpoints with a share than the modulus %d has slots", modulus)
		}
		parts = append(parts, part{index: i, weight: max(1, uint64(math.Round(share*shareUnit)))})
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("no endpoint has a share above 0")
	}
	return parts, nil
}

// deal gives every part the whole slots of its quota, and returns how many slots
// are left for the largest remainders. A quota below one slot becomes one slot,
// and the other parts have what remains.
func deal(parts []part, modulus int) (left int) {
	for again := true; again; {
		again = false
		var total uint64
		slots := uint64(modulus)
		for i := range parts {
			if parts[i].fixed {
				slots--
				continue
			}
			total += parts[i].weight
		}
		left = int(slots)
		for i := range parts {
			if p := &parts[i]; !p.fixed {
				p.quota(slots, total)
				left -= p.slots
				again = again || p.fixed
			}
		}
	}
	return left
}

// quota divides slots by the part's weight in total. The division is exact: the
// product has at most 79 bits, and its high word is below total.
func (p *part) quota(slots, total uint64) {
	hi, lo := bits.Mul64(p.weight, slots)
	q, r := bits.Div64(hi, lo, total)
	p.slots, p.remainder = int(q), r
	if q == 0 {
		p.slots, p.remainder, p.fixed = 1, 0, true
	}
}

// compareParts orders parts as they get the slots that are left. Fixed ones come
// last and never get any, since fewer are left than the others are.
func compareParts(a, b *part, eps []Endpoint) int {
	switch {
	case a.fixed != b.fixed && a.fixed:
		return 1
	case a.fixed != b.fixed:
		return -1
	case a.remainder != b.remainder:
		return cmp.Compare(b.remainder, a.remainder)
	case a.tie != b.tie:
		return cmp.Compare(a.tie, b.tie)
	}
	return compareEndpoints(&eps[a.index], &eps[b.index])
}

// isPrecise reports whether all parts keep within the precision, those of a tie
// with and without the slot that the tie may give them.
func isPrecise(parts []part, modulus int) bool {
	left := deal(parts, modulus)
	slices.SortFunc(parts, func(a, b part) int {
		if a.fixed == b.fixed {
			return cmp.Compare(b.remainder, a.remainder)
		}
		return cmp.Compare(b2i(a.fixed), b2i(b.fixed))
	})
	var total uint64
	for i := range parts {
		total += parts[i].weight
	}
	for i := range parts {
		p := &parts[i]
		tied := left > 0 && left < len(parts) && !p.fixed && !parts[left].fixed &&
			p.remainder == parts[left].remainder && p.remainder == parts[left-1].remainder
		ideal := float64(p.weight) / float64(total) * float64(modulus)
		if (i < left || tied) && !isNear(p.slots+1, ideal) || (i >= left || tied) && !isNear(p.slots, ideal) {
			return false
		}
	}
	return true
}

func isNear(slots int, ideal float64) bool {
	return math.Abs(float64(slots)-ideal) <= precision*ideal+1e-9
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// tieBreak hashes with FNV-1a, which is the same in every build, and mixes the
// bits (splitmix64), since the low ones of short keys are not.
func tieBreak(node string, e *Endpoint) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(node) {
		h = (h ^ uint64(node[i])) * 1099511628211
	}
	address := e.Address.As16()
	for _, c := range address {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ uint64(e.Port)) * 1099511628211
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
