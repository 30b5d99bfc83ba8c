package verify

import (
	"fmt"
	"slices"
	"strings"
)

// classes groups the leaves by what they say about free variables.
func (w *walker) classes() []Class {
	cells, ok := w.cells()
	if !ok {
		return []Class{{Ends: []End{{Kind: Unknown, Fraction: NewFraction(1, 1), Reason: "too many conditions on the source"}}}}
	}
	var list []Class
	for _, c := range cells {
		class := Class{Conditions: c.conditions(w), Ends: w.ends(c)}
		if i := slices.IndexFunc(list, func(o Class) bool { return slices.EqualFunc(o.Ends, class.Ends, sameEnd) }); i >= 0 {
			list[i].Conditions = alternatives(list[i].Conditions, class.Conditions)
			continue
		}
		list = append(list, class)
	}
	if len(list) == 1 {
		list[0].Conditions = nil
	}
	return list
}

// alternatives joins the conditions of two cells with the same ends.
func alternatives(a, b []string) []string {
	return []string{strings.Join(a, " and ") + " or " + strings.Join(b, " and ")}
}

func sameEnd(a, b End) bool {
	return a.Kind == b.Kind && a.To == b.To && a.Masqueraded == b.Masqueraded && a.Source == b.Source &&
		a.Reason == b.Reason && a.Priority == b.Priority && a.Random == b.Random && a.Fraction.equal(b.Fraction)
}

// cell is one value range of each free variable that any leaf depends on.
type cell []part

const (
	maxCells = 256
	// maxNarrowed limits the leaves with conditions, each of which is compared with
	// each cell.
	maxNarrowed = 4096
)

// cells cuts the space of free variables so that no leaf covers a cell in part.
func (w *walker) cells() ([]cell, bool) {
	cells := []cell{nil}
	narrowed := 0
	for i := range w.leaves {
		if w.leaves[i].env != nil {
			narrowed++
		}
	}
	if narrowed > maxNarrowed {
		return nil, false
	}
	for v := range w.vars {
		if w.vars[v].kind != free {
			continue
		}
		atoms := w.atoms(int32(v))
		if len(atoms) < 2 {
			continue
		}
		if len(atoms)*len(cells) > maxCells {
			return nil, false
		}
		var next []cell
		for _, c := range cells {
			for _, a := range atoms {
				next = append(next, append(slices.Clip(slices.Clone(c)), part{int32(v), a}))
			}
		}
		cells = next
	}
	return cells, true
}

// atoms are the finest ranges of a variable that the leaves tell apart.
func (w *walker) atoms(v int32) []domain {
	var domains []domain
	for i := range w.leaves {
		if d := w.leaves[i].domain(v); d != nil {
			domains = append(domains, d)
		}
	}
	return atomsOf(w.vars[v].dom, domains)
}

func (l *leaf) domain(v int32) domain { return narrowed(l.env, v) }

func (c cell) conditions(w *walker) []string {
	var list []string
	for _, p := range c {
		v := w.vars[p.variable]
		list = append(list, v.name+" in "+p.in.format(4, func(n num) string { return w.text(p.variable, n) }))
	}
	return list
}

// text is a value of a variable as a person writes it.
func (w *walker) text(v int32, n num) string {
	switch v {
	case varDaddr, varSaddr, varOrigDaddr:
		return w.toAddr(n).String()
	case varProto, varDport, varSport, varOrigDport:
		return fmt.Sprint(n.lo)
	}
	return n.hex()
}

// covers reports whether a leaf is reached from a cell.
func (l *leaf) covers(c cell) bool {
	for _, p := range c {
		if d := l.domain(p.variable); d != nil && d.intersect(p.in).empty() {
			return false
		}
	}
	return true
}

// covering are the leaves that are reached from a cell.
func (w *walker) covering(c cell) []*leaf {
	list := make([]*leaf, 0, len(w.leaves))
	for i := range w.leaves {
		if w.leaves[i].covers(c) {
			list = append(list, &w.leaves[i])
		}
	}
	return list
}

// ends sums the leaves of a cell by where they end.
func (w *walker) ends(c cell) []End {
	leaves := w.covering(c)
	var matters map[int32]bool
	if w.keepDraws {
		matters = w.matters(leaves)
	}
	list := make([]End, 0, len(leaves))
	for _, l := range leaves {
		e := l.end()
		if w.keepDraws {
			e.Slots, e.Random = w.draws(l, matters)
		}
		k := slices.IndexFunc(list, func(o End) bool {
			return o.To == e.To && o.Kind == e.Kind && o.Masqueraded == e.Masqueraded && o.Source == e.Source &&
				o.Reason == e.Reason && o.Priority == e.Priority
		})
		if k < 0 {
			list = append(list, e)
			continue
		}
		list[k].Fraction = list[k].Fraction.add(e.Fraction)
		list[k].Slots = max(list[k].Slots, e.Slots)
		list[k].Random = list[k].Random || e.Random
	}
	slices.SortStableFunc(list, func(a, b End) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return a.To.Compare(b.To)
	})
	return list
}

func (l *leaf) end() End {
	kinds := [...]Kind{Through, Translated, Dropped, Unknown, Redirected}
	return End{
		Kind: kinds[l.kind], To: l.to, Masqueraded: l.source.done, Source: l.source.to,
		Fraction: l.weight, Slots: l.modulus, Random: l.random, Priority: l.priority, Reason: l.reason, trail: l.trail,
	}
}
