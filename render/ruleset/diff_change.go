package ruleset

import (
	"slices"
	"strings"
)

// sides parts what has the same name on both sides into what stays and what is
// replaced. What both share stays as it is, unless it is replaced or lets go.
func sides[T any](d *tableDiff, p pairs[T], old []*T, letsGo func(*T) bool) (stay, replaced []pair[T]) {
	known := map[*T]bool{}
	for _, c := range p.changed {
		if known[c.old] = true; d.again[c.old] != "" {
			replaced = append(replaced, c)
		} else {
			stay = append(stay, c)
		}
	}
	if len(d.again) == 0 {
		return stay, nil
	}
	for _, g := range p.gone {
		known[g] = true
	}
	for _, o := range old {
		switch {
		case known[o]:
		case d.again[o] != "":
			replaced = append(replaced, pair[T]{o, o})
		case letsGo(o):
			stay = append(stay, pair[T]{o, o})
		}
	}
	return stay, replaced
}

func (d *tableDiff) compareChains() {
	stay, replaced := sides(d, d.chains, d.old.Chains, func(c *Chain) bool { return d.letGo[c] })
	for _, c := range d.chains.gone {
		d.out = append(d.out, c)
	}
	for _, p := range replaced {
		d.out = append(d.out, p.old)
		d.in.chains = append(d.in.chains, chainPart{p.new, true, p.new.Rules})
	}
	for _, c := range d.chains.added {
		d.in.chains = append(d.in.chains, chainPart{c, true, c.Rules})
	}
	d.inOrder()
	for _, p := range stay {
		c := compareRules(p.old, p.new, d.letGo[p.old])
		if c.empty() {
			continue
		}
		d.chainChanges = append(d.chainChanges, c)
		if part, ok := c.part(); ok {
			d.in.chains = append(d.in.chains, part)
		}
	}
}

// inOrder sorts the new chains as the new text has them: base chains are called
// in the order in which they are made.
func (d *tableDiff) inOrder() {
	if len(d.in.chains) < 2 || !d.basesDiffer() {
		return
	}
	order := make(map[*Chain]int, len(d.new.Chains))
	for i, c := range d.new.Chains {
		order[c] = i
	}
	slices.SortFunc(d.in.chains, func(a, b chainPart) int { return order[a.Chain] - order[b.Chain] })
}

func (d *tableDiff) compareSets() {
	letsGo := func(s *Set) bool { return slices.ContainsFunc(s.Elements, func(e *Element) bool { return d.letGo[e] }) }
	stay, replaced := sides(d, d.sets, d.old.Sets, letsGo)
	for _, s := range d.sets.gone {
		d.out = append(d.out, s)
	}
	for _, p := range replaced {
		d.out = append(d.out, p.old)
		d.in.sets = append(d.in.sets, p.new)
	}
	d.in.sets = append(d.in.sets, d.sets.added...)
	for _, p := range stay {
		e := compareElements(p.old, p.new, d.letGo)
		if e.flushed || d.lingers(&e) {
			e.flush()
		}
		if e.flushed || len(e.deleted)+len(e.added) > 0 {
			d.elementDiffs = append(d.elementDiffs, e)
		}
	}
}

// lingers tells whether a deleted element that may be over already refers to what
// is deleted too. Until the kernel has cleared it away, such an element cannot be
// deleted, and yet holds what it refers to; only emptying the set lets go of it.
func (d *tableDiff) lingers(e *elementDiff) (lingers bool) {
	mortal := e.mortal()
	if len(mortal) == 0 || len(d.out) == 0 {
		return false
	}
	refs := newReferences()
	for _, block := range d.out {
		refs.add(block)
	}
	for _, element := range mortal {
		if element.Value != "" {
			refs.in(element.Value, func(any) { lingers = true })
		}
	}
	return lingers
}

func (d *tableDiff) compareObjects() {
	_, replaced := sides(d, d.objects, d.old.Objects, func(*Object) bool { return false })
	for _, o := range d.objects.gone {
		d.out = append(d.out, o)
	}
	for _, p := range replaced {
		d.out = append(d.out, p.old)
		d.in.objects = append(d.in.objects, p.new)
	}
	d.in.objects = append(d.in.objects, d.objects.added...)
}

// write puts the commands in their order: what refers to others lets go of them,
// what is gone is deleted, what is new is added, and then what refers to it.
func (d *tableDiff) write() {
	c := d.change
	for i := range d.elementDiffs {
		c.deletions = append(c.deletions, d.elementDiffs[i].deletions()...)
	}
	for _, chain := range d.chainChanges {
		if chain.flushed {
			c.deletions = append(c.deletions, deletion{verb: "flush", kind: "chain", name: chain.old.Name})
		}
		c.insertions = append(c.insertions, chain.insertions()...)
	}
	for _, block := range d.out {
		if chain, ok := block.(*Chain); ok && len(chain.Rules) > 0 && chain.Rules[0].Text == unlike { // who knows what it refers to
			c.deletions = append(c.deletions, deletion{verb: "flush", kind: "chain", name: chain.Name})
		}
	}
	for _, block := range usersFirst(d.out) {
		c.deletions = append(c.deletions, deletionOf(block))
	}
	if in := &d.in; len(in.chains)+len(in.sets)+len(in.objects) > 0 || d.dormancy() {
		in.flags = d.new.Flags
		c.addition = in
	}
	for _, e := range d.elementDiffs {
		if len(e.added) > 0 {
			c.elements = append(c.elements, elementList{e.new, e.added})
		}
	}
}

func deletionOf(block any) deletion {
	switch b := block.(type) {
	case *Chain:
		return deletion{verb: "delete", kind: "chain", name: b.Name}
	case *Set:
		return deletion{verb: "delete", kind: setKeyword(b), name: b.Name}
	case *Object:
		return deletion{verb: "delete", kind: b.Kind, name: b.Name}
	}
	return deletion{}
}

// touch says what changes.
func (d *tableDiff) touch() {
	t := &d.touched
	t.Whole = d.dormancy()
	for _, c := range d.chainChanges {
		t.Chains = append(t.Chains, c.new.Name)
	}
	for i := range d.elementDiffs {
		e := &d.elementDiffs[i]
		s := TouchedSet{Name: e.new.Name, Whole: e.flushed}
		if !s.Whole {
			s.Keys = e.keys()
		}
		t.Sets = append(t.Sets, s)
	}
	for _, block := range d.out {
		t.note(block)
	}
	for _, c := range d.in.chains {
		t.note(c.Chain)
	}
	for _, s := range d.in.sets {
		t.note(s)
	}
	for _, o := range d.in.objects {
		t.note(o)
	}
	t.tidy()
}

// note adds a block that is new or gone.
func (t *Touched) note(block any) {
	switch b := block.(type) {
	case *Chain:
		t.Chains = append(t.Chains, b.Name)
	case *Set:
		t.Sets = append(t.Sets, TouchedSet{Name: b.Name, Whole: true})
	case *Object:
		t.Objects = append(t.Objects, b.Name)
	}
}

func (t *Touched) tidy() {
	if t.Whole {
		t.Chains, t.Sets, t.Objects = nil, nil, nil
	}
	slices.Sort(t.Chains)
	t.Chains = slices.Compact(t.Chains)
	slices.SortFunc(t.Sets, func(a, b TouchedSet) int { return strings.Compare(a.Name, b.Name) })
	t.Sets = slices.CompactFunc(t.Sets, func(a, b TouchedSet) bool { return a.Name == b.Name })
	slices.Sort(t.Objects)
	t.Objects = slices.Compact(t.Objects)
}

// chainChange is what happens to a chain that stays.
type chainChange struct {
	old, new *Chain
	flushed  bool
	policy   bool
	before   int // rules of new that go before those of old
	behind   int // rules of new that go behind them
}

// compareRules compares the rules of a chain that stays. One that must let go of
// what it refers to is filled anew.
func compareRules(old, new *Chain, letGo bool) chainChange {
	c := chainChange{old: old, new: new, policy: policyChanges(old, new)}
	if at := rulesIn(old.Rules, new.Rules); at >= 0 && !letGo {
		c.before, c.behind = at, len(new.Rules)-at-len(old.Rules)
		if len(old.Rules) == 0 {
			c.before, c.behind = 0, len(new.Rules)
		}
		return c
	}
	c.flushed, c.behind = len(old.Rules) > 0, len(new.Rules)
	return c
}

func (c *chainChange) empty() bool {
	return !c.flushed && !c.policy && c.before+c.behind == 0
}

// rulesIn is where rules stand one after the other in others, -1 if nowhere.
func rulesIn(rules, others []Rule) int {
	for at := 0; at+len(rules) <= len(others); at++ {
		if slices.EqualFunc(rules, others[at:at+len(rules)], sameRule) {
			return at
		}
	}
	return -1
}

func sameRule(a, b Rule) bool { return a.Text == b.Text }

// part is what the change adds in a table block; nothing if ok is false.
func (c *chainChange) part() (part chainPart, ok bool) {
	return chainPart{c.new, c.policy, c.new.Rules[len(c.new.Rules)-c.behind:]}, c.policy || c.behind > 0
}

// insertions are the rules that go before the old ones, the last one first: each
// becomes the first of the chain.
func (c *chainChange) insertions() []insertion {
	var list []insertion
	for i := c.before - 1; i >= 0; i-- {
		list = append(list, insertion{c.new, i})
	}
	return list
}
