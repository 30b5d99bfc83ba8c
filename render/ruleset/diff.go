package ruleset

import (
	"maps"
	"slices"
	"strings"
)

// Diff gives the transaction that turns a kernel that holds old into one that
// holds new; an empty one where they mean the same.
//
// Within a table that stays, elements are deleted and added one by one, chains
// whose rules changed are flushed and refilled, and the order is the one that
// the kernel's references ask for: what is new is created before anybody refers
// to it, what is gone is deleted after nobody does. Where nft has no command
// for a change (the comment or type of a block that stays, objects, auto-merge, lines that
// this package does not know), the table is replaced whole.
//
// Expires is not compared: it is what is left of a timeout, and falls by itself.
func Diff(old, new *Ruleset) *Transaction {
	var w writer
	tx := &Transaction{}
	before, after := merged(old), merged(new)
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if b := before[key]; after[key] == nil {
			w.line(0, "delete table ", key)
			tx.Touched = append(tx.Touched, Touched{Family: b.Family, Table: b.Name, Whole: true})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		switch b, a := before[key], after[key]; {
		case b == nil:
			w.table(a)
			tx.Touched = append(tx.Touched, Touched{Family: a.Family, Table: a.Name, Whole: true})
		case !sameFrame(b, a):
			w.line(0, "delete table ", key)
			w.table(a)
			tx.Touched = append(tx.Touched, Touched{Family: a.Family, Table: a.Name, Whole: true})
			tx.Replaced = append(tx.Replaced, Replaced{What: "table " + key, Why: "a block's head differs"})
		default:
			w.changes(key, b, a)
			if t := touchedIn(b, a); len(t.Chains)+len(t.Sets) > 0 {
				tx.Touched = append(tx.Touched, t)
			}
		}
	}
	tx.text = w.String()
	return tx
}

func touchedIn(b, a *Table) Touched {
	t := Touched{Family: a.Family, Table: a.Name}
	oldChains, newChains := chainsByName(b), chainsByName(a)
	for _, name := range slices.Sorted(maps.Keys(oldChains)) {
		if newChains[name] == nil {
			t.Chains = append(t.Chains, name)
		}
	}
	for _, c := range a.Chains {
		if o := oldChains[c.Name]; o == nil || !sameRules(o, c) {
			t.Chains = append(t.Chains, c.Name)
		}
	}
	oldSets, newSets := setsByName(b), setsByName(a)
	for _, name := range slices.Sorted(maps.Keys(oldSets)) {
		if newSets[name] == nil {
			t.Sets = append(t.Sets, TouchedSet{Name: name, Whole: true})
		}
	}
	for _, s := range a.Sets {
		o := oldSets[s.Name]
		if o == nil {
			t.Sets = append(t.Sets, TouchedSet{Name: s.Name, Whole: true})
			continue
		}
		if keys := touchedKeys(o, s); len(keys) > 0 {
			t.Sets = append(t.Sets, TouchedSet{Name: s.Name, Keys: keys})
		}
	}
	return t
}

func touchedKeys(b, a *Set) []string {
	keys := map[string]bool{}
	before, after := contents(b), contents(a)
	for c := range before {
		if !after[c] {
			keys[c.key] = true
		}
	}
	for c := range after {
		if !before[c] {
			keys[c.key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// merged gives the tables by "family name", those of several blocks as one.
func merged(rs *Ruleset) map[string]*Table {
	tables := map[string]*Table{}
	for _, t := range rs.Tables {
		key := t.Family + " " + t.Name
		if tables[key] == nil {
			tables[key] = &Table{Family: t.Family, Name: t.Name}
		}
		m := tables[key]
		m.Comment = strings.TrimSpace(m.Comment + t.Comment)
		m.Flags = append(m.Flags, t.Flags...)
		m.Objects = append(m.Objects, t.Objects...)
		m.Sets = append(m.Sets, t.Sets...)
		m.Chains = append(m.Chains, t.Chains...)
		m.Others = append(m.Others, t.Others...)
	}
	return tables
}

// sameFrame tells whether what cannot be changed in place is the same.
func sameFrame(b, a *Table) bool {
	if frame(b) != frame(a) || len(b.Others)+len(a.Others) > 0 {
		return false
	}
	chains, sets := chainsByName(b), setsByName(b)
	for _, c := range a.Chains {
		if o := chains[c.Name]; o != nil && (o.Comment != c.Comment || baseText(o) != baseText(c)) {
			return false
		}
	}
	for _, s := range a.Sets {
		if o := sets[s.Name]; o != nil && (setHead(o) != setHead(s) || s.AutoMerge) {
			return false
		}
	}
	return !definesTwice(b) && !definesTwice(a)
}

func definesTwice(t *Table) bool {
	return len(chainsByName(t)) < len(t.Chains) || len(setsByName(t)) < len(t.Sets)
}

// frame is the text of a table without its sets and chains.
func frame(t *Table) string {
	var w writer
	w.table(&Table{Family: t.Family, Name: t.Name, Comment: t.Comment, Flags: t.Flags, Objects: t.Objects})
	return w.String()
}

func baseText(c *Chain) string {
	var w writer
	if c.Base != nil {
		w.base(c.Base)
	}
	return w.String()
}

// setHead is the text of a set without its elements.
func setHead(s *Set) string {
	var w writer
	head := *s
	head.Elements = nil
	w.set(&head)
	return w.String()
}

func chainsByName(t *Table) map[string]*Chain {
	m := make(map[string]*Chain, len(t.Chains))
	for _, c := range t.Chains {
		m[c.Name] = c
	}
	return m
}

func setsByName(t *Table) map[string]*Set {
	m := make(map[string]*Set, len(t.Sets))
	for _, s := range t.Sets {
		m[s.Name] = s
	}
	return m
}

// changes writes the commands that turn table b into a.
func (w *writer) changes(key string, b, a *Table) {
	oldChains, oldSets := chainsByName(b), setsByName(b)
	newChains, newSets := chainsByName(a), setsByName(a)
	w.create(a, oldChains, oldSets)
	w.clear(key, b, newChains, newSets)
	w.refill(a, oldChains)
	for _, s := range a.Sets {
		old := oldSets[s.Name]
		if old == nil {
			old = &Set{}
		}
		w.addElements(key, old, s)
	}
	w.remove(key, b, newChains, newSets)
}

// clear deletes the elements and rules that are gone or change.
func (w *writer) clear(key string, b *Table, newChains map[string]*Chain, newSets map[string]*Set) {
	for _, s := range b.Sets {
		if n := newSets[s.Name]; n != nil {
			w.deleteElements(key, s, n)
		}
	}
	for _, c := range b.Chains {
		if n := newChains[c.Name]; len(c.Rules) > 0 && (n == nil || !sameRules(c, n)) {
			w.line(0, "flush chain ", key, " ", c.Name)
		}
	}
}

// remove deletes the sets and chains that are gone.
func (w *writer) remove(key string, b *Table, newChains map[string]*Chain, newSets map[string]*Set) {
	for _, s := range b.Sets {
		if newSets[s.Name] == nil {
			w.line(0, "delete ", setKeyword(s), " ", key, " ", s.Name)
		}
	}
	for _, c := range b.Chains {
		if newChains[c.Name] == nil {
			w.line(0, "delete chain ", key, " ", c.Name)
		}
	}
}

func setKeyword(s *Set) string {
	if s.Map {
		return "map"
	}
	return "set"
}

// create writes the sets and chains that are new, still empty.
func (w *writer) create(a *Table, oldChains map[string]*Chain, oldSets map[string]*Set) {
	t := &Table{Family: a.Family, Name: a.Name}
	for _, s := range a.Sets {
		if oldSets[s.Name] == nil {
			head := *s
			head.Elements = nil
			t.Sets = append(t.Sets, &head)
		}
	}
	for _, c := range a.Chains {
		if oldChains[c.Name] == nil {
			head := *c
			head.Rules = nil
			t.Chains = append(t.Chains, &head)
		}
	}
	if len(t.Sets)+len(t.Chains) > 0 {
		w.table(t)
	}
}

// refill writes the rules of chains that are new or changed.
func (w *writer) refill(a *Table, oldChains map[string]*Chain) {
	t := &Table{Family: a.Family, Name: a.Name}
	for _, c := range a.Chains {
		if o := oldChains[c.Name]; len(c.Rules) > 0 && (o == nil || !sameRules(o, c)) {
			t.Chains = append(t.Chains, &Chain{Name: c.Name, Rules: c.Rules})
		}
	}
	if len(t.Chains) > 0 {
		w.table(t)
	}
}

func sameRules(a, b *Chain) bool {
	return slices.EqualFunc(a.Rules, b.Rules, func(x, y Rule) bool { return x.Text == y.Text })
}

// elementContent is what must be the same for an element to stay.
type elementContent struct{ key, value, timeout, comment string }

func contents(s *Set) map[elementContent]bool {
	m := make(map[elementContent]bool, len(s.Elements))
	for i := range s.Elements {
		m[content(s.Elements[i])] = true
	}
	return m
}

func content(e *Element) elementContent {
	return elementContent{e.Key, e.Value, e.Timeout, e.Comment}
}

func (w *writer) deleteElements(key string, old, new *Set) {
	stay := contents(new)
	w.elementCommand("delete element "+key+" "+old.Name, old, stay, func(e *Element) string { return e.Key })
}

func (w *writer) addElements(key string, old, new *Set) {
	have := contents(old)
	w.elementCommand("add element "+key+" "+new.Name, new, have, func(e *Element) string { return e.Text })
}

// elementCommand writes a command for the elements of s that are not in skip.
func (w *writer) elementCommand(command string, s *Set, skip map[elementContent]bool, text func(e *Element) string) {
	var list []string
	for i := range s.Elements {
		if e := s.Elements[i]; !skip[content(e)] {
			list = append(list, text(e))
		}
	}
	if len(list) > 0 {
		w.line(0, command, " { ", strings.Join(list, ", "), " }")
	}
}
