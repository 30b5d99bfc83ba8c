package ruleset

import (
	"slices"
	"strings"
)

// elementDiff is what happens to the elements of a set that stays.
type elementDiff struct {
	old, new       *Set
	deleted, added []*Element
	flushed        bool
}

// compareElements compares the elements of a set that stays. Those that must let
// go are deleted and added again.
func compareElements(old, new *Set, letGo map[any]bool) elementDiff {
	p, twice := pairUp(old.Elements, new.Elements, elementKeyOf)
	if twice != "" { // nft takes it, if both are the same
		old, new = withoutTwins(old), withoutTwins(new)
		p, _ = pairUp(old.Elements, new.Elements, elementKeyOf)
	}
	d := elementDiff{old: old, new: new, deleted: p.gone, added: p.added}
	known := map[*Element]bool{}
	for _, c := range p.changed {
		if known[c.old] = true; !sameElement(c.old, c.new) || letGo[c.old] {
			d.deleted, d.added = append(d.deleted, c.old), append(d.added, c.new)
		}
	}
	d.letGo(letGo, known)
	d.flushed = d.flushes()
	return d
}

// flush empties the set and fills it anew.
func (d *elementDiff) flush() { d.flushed, d.deleted, d.added = true, nil, d.new.Elements }

// letGo deletes and adds again what both sides share and must let go.
func (d *elementDiff) letGo(letGo map[any]bool, known map[*Element]bool) {
	if len(letGo) == 0 {
		return
	}
	for _, e := range d.deleted {
		known[e] = true
	}
	for _, e := range d.old.Elements {
		if letGo[e] && !known[e] {
			d.deleted, d.added = append(d.deleted, e), append(d.added, e)
		}
	}
}

func elementKeyOf(e *Element) string { return e.Key }

// withoutTwins is the set with each key once.
func withoutTwins(s *Set) *Set {
	d, seen := *s, map[string]bool{}
	d.Elements = slices.DeleteFunc(slices.Clone(s.Elements), func(e *Element) bool {
		again := seen[e.Key]
		seen[e.Key] = true
		return again
	})
	return &d
}

// sameElement compares all but what is left of a timeout.
func sameElement(a, b *Element) bool {
	return a.Text == b.Text ||
		a.Key == b.Key && a.Value == b.Value && a.Timeout == b.Timeout && a.Comment == b.Comment && a.State == b.State
}

// flushes tells whether the set is emptied rather than its elements deleted: if
// none of them stays, or if nft merged them, so that they are not those of the
// text any more. A set that packets fill keeps what they added.
func (d *elementDiff) flushes() bool {
	if len(d.deleted) == 0 && (len(d.added) == 0 || !d.old.AutoMerge) || slices.Contains(d.old.Flags, "dynamic") {
		return false
	}
	return d.old.AutoMerge || len(d.deleted) == len(d.old.Elements) || d.overlaps()
}

// overlaps tells whether what is added might overlap with what nft takes for
// still there: an interval that is added to be deleted (see mortal) stays in
// nft's own cache to the end of the transaction.
func (d *elementDiff) overlaps() bool {
	return slices.Contains(d.old.Flags, "interval") && len(d.added) > 0 && len(d.mortal()) > 0
}

// deletions are the commands that make room.
func (d *elementDiff) deletions() []deletion {
	kind, name := setKeyword(d.old), d.old.Name
	if d.flushed {
		return []deletion{{verb: "flush", kind: kind, name: name}}
	}
	if len(d.deleted) == 0 {
		return nil
	}
	var list []deletion
	if mortal := d.mortal(); len(mortal) > 0 {
		list = append(list, deletion{verb: "add", kind: "element", name: name, elements: mortal})
	}
	return append(list, deletion{verb: "delete", kind: "element", name: name, elements: d.deleted})
}

// mortal are the deleted elements that may be gone already, because their time
// was over: nft refuses to delete them unless they are added first, which does
// nothing to one that is still there.
func (d *elementDiff) mortal() []*Element {
	if d.old.Timeout != "" {
		return d.deleted
	}
	var list []*Element
	for _, e := range d.deleted {
		if e.Timeout != "" {
			list = append(list, e)
		}
	}
	return list
}

// keys are those of what changes.
func (d *elementDiff) keys() []string {
	var keys []string
	for _, e := range slices.Concat(d.deleted, d.added) {
		keys = append(keys, e.Key)
	}
	slices.SortFunc(keys, strings.Compare)
	return slices.Compact(keys)
}
