package ruleset

import "slices"

// cutter collects the parts of a transaction.
type cutter struct {
	off, before, visible, after []part
}

// table takes apart what happens to one table.
func (c *cutter) table(tx *Transaction, change *tableChange) {
	t := tableCut{cutter: c, change: change, limit: wholeBlock}
	switch a := change.addition; {
	case change.deleted && !change.whole, change.whole && len(a.others) > 0, !change.whole && t.mustStayTogether(tx):
		whole := newPart(change)
		whole.together = true
		c.visible = append(c.visible, whole)
		return
	case change.deleted:
		c.off = append(c.off, newPart(&tableChange{family: change.family, name: change.name, deleted: true}))
	}
	t.additions()
	t.rest(tx)
}

// wholeBlock is up to how many rules or elements stand in one part.
const wholeBlock = 64

// tableCut takes one change apart.
type tableCut struct {
	*cutter
	change *tableChange
	limit  int
}

// mustStayTogether tells whether there is anything that is replaced, so that what
// is new and what is gone cannot be told apart by name, or the table goes to sleep
// or wakes up.
func (t *tableCut) mustStayTogether(tx *Transaction) bool {
	before, after := tableOf(tx.old, t.change), tableOf(tx.new, t.change)
	if before == nil || after == nil || slices.Contains(before.Flags, dormant) != slices.Contains(after.Flags, dormant) {
		return true
	}
	gone := map[string]bool{}
	for _, d := range t.change.deletions {
		if d.verb == "delete" && d.elements == nil {
			gone[kindOf(d.kind)+" "+d.name] = true
		}
	}
	a := t.change.addition
	if a == nil {
		return false
	}
	replaced := func(kind, name string) bool { return gone[kindOf(kind)+" "+name] }
	return slices.ContainsFunc(a.chains, func(c chainPart) bool { return c.head && replaced("chain", c.Name) }) ||
		slices.ContainsFunc(a.sets, func(s *Set) bool { return replaced("set", s.Name) }) ||
		slices.ContainsFunc(a.objects, func(o *Object) bool { return replaced(o.Kind, o.Name) })
}

// kindOf: sets and maps share their names.
func kindOf(kind string) string {
	if kind == "map" {
		return "set"
	}
	return kind
}

func tableOf(rs *Ruleset, c *tableChange) *Table {
	return find(merged(rs), &Table{Family: c.family, Name: c.name})
}

// like is a change of the same table that adds something.
func (t *tableCut) like(a addition) *tableChange {
	if t.change.addition != nil {
		a.flags = t.change.addition.flags
	}
	return &tableChange{family: t.change.family, name: t.change.name, addition: &a}
}

func (t *tableCut) add(list *[]part, a addition, content any) {
	*list = append(*list, newPart(t.like(a), t.block(content)))
}

func (t *tableCut) block(content any) block { return block{t.change.family, t.change.name, content} }

// additions adds what is new and what nothing refers to yet: what is used before
// who uses it, elements last, since they may go to chains.
func (t *tableCut) additions() {
	a := t.change.addition
	if a == nil {
		return
	}
	if t.change.whole {
		t.before = append(t.before, newPart(t.like(addition{comment: a.comment}), t.block(nil)))
	}
	for _, o := range a.objects {
		t.add(&t.before, addition{objects: []*Object{o}}, o)
	}
	var later []any
	for _, s := range a.sets {
		if slices.Contains(s.Flags, "constant") { // takes no element afterwards
			later = append(later, s)
			continue
		}
		empty := *s
		empty.Elements = nil
		t.add(&t.before, addition{sets: []*Set{&empty}}, s)
	}
	parts := map[*Chain]chainPart{}
	for _, c := range a.chains {
		if c.head && c.Base == nil { // a base chain may be there, with another policy
			later = append(later, c.Chain)
			parts[c.Chain] = c
		}
	}
	later = usersFirst(later)
	slices.Reverse(later)
	for _, content := range later {
		if s, ok := content.(*Set); ok {
			t.add(&t.before, addition{sets: []*Set{s}}, s)
			continue
		}
		t.chain(parts[content.(*Chain)])
	}
	for _, s := range a.sets {
		if !slices.Contains(s.Flags, "constant") {
			t.fill(s)
		}
	}
}

// chain adds a new chain: the rules of a long one bit by bit.
func (t *tableCut) chain(c chainPart) {
	for first, rules := true, c.rules; first || len(rules) > 0; first = false {
		n := min(len(rules), t.limit)
		a := addition{chains: []chainPart{{c.Chain, c.head && first, rules[:n]}}}
		if rules = rules[n:]; first {
			t.add(&t.before, a, c.Chain)
		} else {
			t.before = append(t.before, newPart(t.like(a)))
		}
	}
}

// fill adds the elements of a new set.
func (t *tableCut) fill(s *Set) {
	for list := range slices.Chunk(s.Elements, t.limit) {
		change := &tableChange{family: t.change.family, name: t.change.name, elements: []elementList{{s, list}}}
		t.before = append(t.before, newPart(change))
	}
}

// rest is what packets see, and the end of what is gone.
func (t *tableCut) rest(tx *Transaction) {
	seen := &tableChange{family: t.change.family, name: t.change.name, insertions: t.change.insertions, elements: t.change.elements}
	gone := &tableChange{family: t.change.family, name: t.change.name}
	bases := t.oldBases(tx)
	for _, d := range t.change.deletions {
		if d.verb == "delete" && d.elements == nil && !(d.kind == "chain" && bases[d.name]) {
			gone.deletions = append(gone.deletions, d)
		} else {
			seen.deletions = append(seen.deletions, d)
		}
	}
	if a := t.change.addition; a != nil {
		var chains []chainPart
		for _, c := range a.chains {
			if !c.head || c.Base != nil {
				chains = append(chains, c)
			}
		}
		if len(chains) > 0 {
			seen.addition = &addition{flags: a.flags, chains: chains}
		}
	}
	if !seen.empty() {
		t.visible = append(t.visible, newPart(seen))
	}
	for list := range slices.Chunk(gone.deletions, t.limit) {
		t.after = append(t.after, newPart(&tableChange{family: gone.family, name: gone.name, deletions: list}))
	}
}

// oldBases are the base chains that the table has had.
func (t *tableCut) oldBases(tx *Transaction) map[string]bool {
	bases := map[string]bool{}
	if before := tableOf(tx.old, t.change); before != nil {
		for _, c := range before.Chains {
			bases[c.Name] = bases[c.Name] || c.Base != nil
		}
	}
	return bases
}
