package verify

import "maps"

// matters finds, of the numbers drawn on the way to some leaves, those that have to
// do with where packets end: after a sample that is only logged, the rest of the
// way is the same. It needs leaves that keep their draws.
func (w *walker) matters(leaves []*leaf) map[int32]bool {
	drawn := map[int32][]domain{}
	for _, l := range leaves {
		for _, d := range l.draws {
			drawn[d.variable] = append(drawn[d.variable], d.in)
		}
	}
	found := map[int32]bool{}
	for v, domains := range drawn {
		if !w.sameForAll(leaves, v, atomsOf(w.vars[v].dom, domains)) {
			found[v] = true
		}
	}
	return found
}

// atomsOf are the finest parts that domains cut a domain into.
func atomsOf(whole domain, domains []domain) []domain {
	atoms := []domain{whole}
	for _, d := range domains {
		var next []domain
		for _, a := range atoms {
			for _, x := range []domain{a.intersect(d), a.subtract(d)} {
				if !x.empty() {
					next = append(next, x)
				}
			}
		}
		if atoms = next; len(atoms) > maxCells {
			return atoms
		}
	}
	return atoms
}

// sameForAll reports whether packets that drew a number from one part of a
// variable end as those that drew it from any other.
func (w *walker) sameForAll(leaves []*leaf, v int32, atoms []domain) bool {
	if len(atoms) > maxCells {
		return false
	}
	var first map[End]Fraction
	for _, a := range atoms {
		ends := map[End]Fraction{}
		for _, l := range leaves {
			d := narrowed(l.draws, v)
			if d == nil || d.intersect(a).empty() {
				continue
			}
			n, _ := d.count()
			e := l.end()
			weight := e.Fraction.mul(NewFraction(w.vars[v].modulus, n))
			e.Fraction, e.Slots, e.Random, e.trail = Fraction{}, 0, false, nil
			ends[e] = ends[e].add(weight)
		}
		if first == nil {
			first = ends
		}
		if !maps.EqualFunc(first, ends, Fraction.equal) {
			return false
		}
	}
	return true
}

// draws are the largest number of slots and whether anything but the client's hash
// was drawn, of what matters.
func (w *walker) draws(l *leaf, matters map[int32]bool) (slots uint64, random bool) {
	for _, d := range l.draws {
		if v := &w.vars[d.variable]; matters[d.variable] {
			slots, random = max(slots, v.modulus), random || !v.client
		}
	}
	return slots, random
}
