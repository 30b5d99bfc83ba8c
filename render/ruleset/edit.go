package ruleset

import "slices"

// Edit is something in a kernel that is otherwise than a ruleset says.
type Edit struct {
	Family, Table string
	// Chain is the chain that has other rules, or Set the set that the ruleset does
	// not have or the kernel does not.
	Chain, Set string
	// Key is the text of the key of an element of the set that is another; empty if
	// it is about the set itself.
	Key string
	// Gone says that the kernel does not have it at all.
	Gone bool
	// Map says that the set is a map.
	Map bool
}

// unlike is no text of nft: whatever is compared with it differs.
const unlike = "\x00"

// Edited is the ruleset of a kernel that held rs until somebody edited it: what
// [Diff] takes for the old one. What such a block holds is not said, only that it
// is something else. Blocks without edits are shared with rs.
func (rs *Ruleset) Edited(edits []Edit) *Ruleset {
	out := &Ruleset{Tables: slices.Clone(rs.Tables), Others: rs.Others}
	for _, e := range edits {
		out.edit(e)
	}
	return out
}

// edit changes the block of the table that has what is edited, or the last one.
func (rs *Ruleset) edit(e Edit) {
	at := -1
	for i, t := range rs.Tables {
		if t.Family != e.Family || t.Name != e.Table {
			continue
		}
		at = i
		if t.has(e) {
			break
		}
	}
	if at < 0 {
		return
	}
	old := rs.Tables[at]
	t := &Table{
		Family: old.Family, Name: old.Name, Comment: old.Comment, Flags: old.Flags, Objects: old.Objects,
		Sets: slices.Clone(old.Sets), Chains: slices.Clone(old.Chains), Others: old.Others,
	}
	rs.Tables[at] = t
	switch {
	case e.Chain != "":
		t.editChain(e)
	case e.Key != "":
		t.editElement(e)
	default:
		t.editSet(e)
	}
}

func (t *Table) has(e Edit) bool {
	if e.Chain != "" {
		return slices.ContainsFunc(t.Chains, func(c *Chain) bool { return c.Name == e.Chain })
	}
	return slices.ContainsFunc(t.Sets, func(s *Set) bool { return s.Name == e.Set })
}

func (t *Table) editChain(e Edit) {
	is := func(c *Chain) bool { return c.Name == e.Chain }
	i := slices.IndexFunc(t.Chains, is)
	edited := &Chain{Name: e.Chain, Rules: []Rule{{Text: unlike}}}
	if i >= 0 {
		old := named{all: map[string]bool{e.Chain: true}}.joined(t)[0]
		edited.Base, edited.Comment = old.Base, old.Comment
		t.Chains = slices.DeleteFunc(t.Chains, is)
	}
	switch {
	case e.Gone:
	case i >= 0:
		t.Chains = slices.Insert(t.Chains, i, edited)
	default:
		t.Chains = append(t.Chains, edited)
	}
}

func (t *Table) editSet(e Edit) {
	i := slices.IndexFunc(t.Sets, func(s *Set) bool { return s.Name == e.Set })
	switch {
	case e.Gone && i >= 0:
		t.Sets = slices.Delete(t.Sets, i, i+1)
	case !e.Gone && i < 0:
		t.Sets = append(t.Sets, &Set{Name: e.Set, Map: e.Map})
	}
}

func (t *Table) editElement(e Edit) {
	i := slices.IndexFunc(t.Sets, func(s *Set) bool { return s.Name == e.Set })
	if i < 0 {
		return
	}
	old := t.Sets[i]
	s := *old
	s.body = body[Element]{}
	s.Elements = slices.DeleteFunc(slices.Clone(old.Elements), func(o *Element) bool { return o.Key == e.Key })
	if !e.Gone {
		s.Elements = append(s.Elements, &Element{Key: e.Key, Value: unlike, Text: e.Key})
	}
	t.Sets[i] = &s
}
