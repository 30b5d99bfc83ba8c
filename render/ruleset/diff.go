package ruleset

import (
	"cmp"
	"slices"
)

// Diff gives the smallest transaction that turns a kernel that holds old into one
// that holds new; an empty one where they mean the same. What the rulesets share
// (see [Parser]) costs a comparison of two pointers.
//
// Elements are deleted and added one by one, one whose value or comment changed
// in place. A chain whose rules changed is flushed and refilled, since text does
// not know the handles of rules; one that only got rules before or behind its
// own keeps them. What nft cannot change (the type of a set, the hook of a
// chain, a counter's value) is taken out and put in again with the rules and
// elements that refer to it, and where not even that will do, the table is
// replaced whole; Replaced says so.
//
// What the kernel has more of than the text is left alone: elements that packets
// added, and what counters have counted. Expires is not compared: it is what is
// left of a timeout, and falls by itself. An element with a timeout that has run
// out may be deleted nevertheless.
func Diff(old, new *Ruleset) *Transaction {
	tx := &Transaction{old: old, new: new}
	before, after := merged(old), merged(new)
	for _, b := range before {
		if find(after, b) == nil {
			tx.add(&tableChange{family: b.Family, name: b.Name, deleted: true}, Touched{Whole: true})
		}
	}
	for _, a := range after {
		tx.table(find(before, a), a)
	}
	if !slices.EqualFunc(old.Others, new.Others, sameStatement) {
		tx.others = new.Others
	}
	return tx
}

// add adds what happens to a table.
func (tx *Transaction) add(c *tableChange, touched Touched) {
	if c.empty() {
		return
	}
	tx.changes = append(tx.changes, c)
	touched.Family, touched.Table = c.family, c.name
	tx.Touched = append(tx.Touched, touched)
}

// table adds what turns table b, which may be nil, into a.
func (tx *Transaction) table(b, a *Table) {
	change := &tableChange{family: a.Family, name: a.Name}
	if a == b {
		return
	}
	if b != nil {
		d := &tableDiff{old: b, new: a, change: change}
		why := d.compare()
		if why == "" {
			tx.Replaced = append(tx.Replaced, d.replaced...)
			tx.add(change, d.touched)
			return
		}
		*change = tableChange{family: a.Family, name: a.Name, deleted: true}
		tx.Replaced = append(tx.Replaced, Replaced{"table " + a.Family + " " + a.Name, why})
	}
	whole := *a
	whole.Chains = joinAll(a)
	change.addition, change.whole = additionOf(&whole), true
	tx.add(change, Touched{Whole: true})
}

// merged gives the tables in the order of their names, those of several blocks
// as one.
func merged(rs *Ruleset) []*Table {
	var tables []*Table
	for _, t := range rs.Tables {
		i := slices.IndexFunc(tables, func(m *Table) bool { return m.Family == t.Family && m.Name == t.Name })
		if i < 0 {
			tables = append(tables, t)
			continue
		}
		tables[i] = join(tables[i], t)
	}
	slices.SortStableFunc(tables, func(a, b *Table) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Name, b.Name))
	})
	return tables
}

func join(a, b *Table) *Table {
	return &Table{
		Family: a.Family, Name: a.Name, Comment: cmp.Or(b.Comment, a.Comment),
		Flags:   slices.Concat(a.Flags, b.Flags),
		Objects: slices.Concat(a.Objects, b.Objects),
		Sets:    slices.Concat(a.Sets, b.Sets),
		Chains:  slices.Concat(a.Chains, b.Chains),
		Others:  slices.Concat(a.Others, b.Others),
	}
}

func find(tables []*Table, like *Table) *Table {
	for _, t := range tables {
		if t.Family == like.Family && t.Name == like.Name {
			return t
		}
	}
	return nil
}

func sameStatement(a, b *Statement) bool { return a.Text == b.Text }
