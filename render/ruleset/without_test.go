package ruleset

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// without is the transaction without one of its commands, nil if it has none
// that counts: elements that are added only to be deleted serve those whose time
// is over.
func (tx *Transaction) without(t *rapid.T) *Transaction {
	var smaller []*Transaction
	for i, c := range tx.changes {
		leave := func(edit func(c *tableChange)) {
			changed := *c
			if c.addition != nil {
				a := *c.addition
				changed.addition = &a
			}
			edit(&changed)
			changes := slices.Clone(tx.changes)
			changes[i] = &changed
			smaller = append(smaller, &Transaction{changes: changes, new: tx.new})
		}
		old, new := find(merged(tx.old), &Table{Family: c.family, Name: c.name}), find(merged(tx.new), &Table{Family: c.family, Name: c.name})
		c.each(func(d deletion, element int) bool { return neededElsewhere(old, new, d, element) }, leave)
	}
	if len(smaller) == 0 {
		return nil
	}
	return rapid.SampledFrom(smaller).Draw(t, "smaller")
}

// neededElsewhere tells whether a deletion makes room for what differs in nothing but a
// timeout, a size or the bytes of a quota. A newer kernel (an element's timeout: since 6.12) changes these
// in place, where an older one takes the command and leaves the old set or element
// as it was, so that the deletion is needed although here it could be left out.
func neededElsewhere(old, new *Table, d deletion, element int) bool {
	if old == nil || new == nil || d.kind == "chain" {
		return false
	}
	if d.kind == "quota" {
		return slices.ContainsFunc(new.Objects, func(o *Object) bool { return o.Kind == d.kind && o.Name == d.name })
	}
	named := func(s *Set) bool { return s.Name == d.name }
	i, j := slices.IndexFunc(old.Sets, named), slices.IndexFunc(new.Sets, named)
	if i < 0 || j < 0 {
		return false
	}
	var deleted []*Element
	undated := func(e *Element) string { return fmt.Sprint(e.Key, e.Value, e.Comment, e.State) }
	switch {
	case d.verb == "delete" && d.elements == nil:
		b, a := *old.Sets[i], *new.Sets[j]
		b.Size, b.Timeout, b.GCInterval = a.Size, a.Timeout, a.GCInterval
		return setDifference(old.Sets[i], new.Sets[j]) != "" && setDifference(&b, &a) == ""
	case d.verb == "flush" && old.Sets[i].AutoMerge: // those that grow would merge with what they were
		return true
	case d.verb == "flush":
		deleted = old.Sets[i].Elements
	default:
		deleted = d.elements[element : element+1]
	}
	return !slices.ContainsFunc(deleted, func(e *Element) bool {
		return !slices.ContainsFunc(new.Sets[j].Elements, func(n *Element) bool { return undated(n) == undated(e) && n.Timeout != e.Timeout })
	})
}

// each calls leave with each way to leave a command out, but for deletions that
// are kept.
func (c *tableChange) each(kept func(d deletion, element int) bool, leave func(edit func(c *tableChange))) {
	if c.deleted {
		leave(func(c *tableChange) { c.deleted = false })
	}
	for i, d := range c.deletions {
		if d.verb == "add" {
			continue
		}
		for j := range d.elements {
			if kept(d, j) {
				continue
			}
			leave(func(c *tableChange) {
				c.deletions = slices.Clone(c.deletions)
				if c.deletions[i].elements = without(d.elements, j); len(d.elements) == 1 {
					c.deletions = without(c.deletions, i)
				}
			})
		}
		if d.elements == nil && !kept(d, 0) {
			leave(func(c *tableChange) { c.deletions = without(c.deletions, i) })
		}
	}
	for i := range c.insertions {
		leave(func(c *tableChange) { c.insertions = without(c.insertions, i) })
	}
	for i, l := range c.elements {
		for j := range l.elements {
			leave(func(c *tableChange) {
				c.elements = slices.Clone(c.elements)
				if c.elements[i].elements = without(l.elements, j); len(l.elements) == 1 {
					c.elements = without(c.elements, i)
				}
			})
		}
	}
	if a := c.addition; a != nil {
		a.each(leave)
	}
}

func (a *addition) each(leave func(edit func(c *tableChange))) {
	if len(a.chains)+len(a.sets)+len(a.objects) == 0 {
		leave(func(c *tableChange) { c.addition = nil })
	}
	for i := range a.objects {
		leave(func(c *tableChange) { c.addition.objects = without(a.objects, i) })
	}
	for i, s := range a.sets {
		leave(func(c *tableChange) { c.addition.sets = without(a.sets, i) })
		for j := range s.Elements {
			leave(func(c *tableChange) {
				less := *s
				less.Elements = without(s.Elements, j)
				c.addition.sets = slices.Clone(a.sets)
				c.addition.sets[i] = &less
			})
		}
	}
	for i, part := range a.chains {
		leave(func(c *tableChange) { c.addition.chains = without(a.chains, i) })
		for j := range part.rules {
			leave(func(c *tableChange) {
				c.addition.chains = slices.Clone(a.chains)
				c.addition.chains[i].rules = without(part.rules, j)
			})
		}
	}
}

func without[T any](list []T, i int) []T { return slices.Delete(slices.Clone(list), i, i+1) }
