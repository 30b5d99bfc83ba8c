package ruleset

// WithoutTimes is the ruleset without what is left of the timeouts of its
// elements: what nft lists, to be compared or loaded elsewhere.
func (rs *Ruleset) WithoutTimes() *Ruleset {
	return rs.copied(func(t *Table) {
		for i, s := range t.Sets {
			t.Sets[i] = s.withoutTimes()
		}
	})
}

func (s *Set) withoutTimes() *Set {
	n := *s
	n.Elements = make([]*Element, len(s.Elements))
	for i, e := range s.Elements {
		if n.Elements[i] = e; e.Expires != "" {
			n.Elements[i] = e.withoutTime()
		}
	}
	return &n
}

func (e *Element) withoutTime() *Element {
	n := *e
	n.Expires = ""
	n.Text = joinWords(e.Key, e.State)
	if e.Timeout != "" {
		n.Text += " timeout " + e.Timeout
	}
	if e.Comment != "" {
		n.Text += ` comment "` + e.Comment + `"`
	}
	if e.Value != "" {
		n.Text += " : " + e.Value
	}
	return &n
}

// WithoutComments is the ruleset without the comments that nft's JSON cannot
// carry: those of tables, chains, sets and maps.
func (rs *Ruleset) WithoutComments() *Ruleset {
	return rs.copied(func(t *Table) {
		t.Comment = ""
		for i, c := range t.Chains {
			n := *c
			n.Comment, t.Chains[i] = "", &n
		}
		for i, s := range t.Sets {
			n := *s
			n.Comment, t.Sets[i] = "", &n
		}
	})
}

// copied is a copy whose tables and lists may be changed.
func (rs *Ruleset) copied(edit func(t *Table)) *Ruleset {
	out := &Ruleset{Others: rs.Others}
	for _, t := range rs.Tables {
		n := join(t, &Table{})
		edit(n)
		out.Tables = append(out.Tables, n)
	}
	return out
}

// HasFlags reports whether a table has flags: nft 1.0.6 lists no JSON of it.
func (rs *Ruleset) HasFlags() bool {
	for _, t := range rs.Tables {
		if len(t.Flags) > 0 {
			return true
		}
	}
	return false
}
