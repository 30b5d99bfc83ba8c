package ruleset

import "strings"

// apart takes from parts that packets see those chains of which each packet meets
// at most one, so that they may change one after the other.
func (tx *Transaction) apart(parts []part) (alone, rest []part) {
	for _, p := range parts {
		if p.together {
			rest = append(rest, p)
			continue
		}
		before, after := tableOf(tx.old, p.change), tableOf(tx.new, p.change)
		if before == nil || after == nil {
			rest = append(rest, p) // of a new table: its base chains
			continue
		}
		g := newGroups(before, after, p.change)
		changes, left := g.split(p.change)
		for _, c := range changes {
			alone = append(alone, newPart(c))
		}
		if !left.empty() {
			rest = append(rest, newPart(left))
		}
	}
	return alone, rest
}

// groups are the chains of a table, those together that packets may meet together:
// chains that refer to each other. Between groups packets go by elements of maps.
type groups struct {
	of       map[string]string // a chain of the same group; itself for its head
	together map[string]bool   // heads of groups that cannot be changed alone
}

func newGroups(before, after *Table, change *tableChange) *groups {
	g := &groups{map[string]string{}, map[string]bool{}}
	touched := touchedBy(change)
	uses := map[string]int{} // rules that refer to a set
	for _, t := range []*Table{before, after} {
		refs := newReferences()
		for _, c := range t.Chains {
			refs.add(c)
		}
		for _, s := range t.Sets {
			refs.add(s)
		}
		for _, o := range t.Objects {
			refs.add(o)
		}
		clear(uses)
		for _, c := range t.Chains {
			g.chain(c, refs, touched, uses)
		}
		g.elements(t, refs, touched, uses)
	}
	return g
}

// touchedBy are the sets and elements that the change touches.
func touchedBy(c *tableChange) map[any]bool {
	touched := map[any]bool{}
	for _, d := range c.deletions {
		if d.kind != "chain" {
			touched[d.name] = true
		}
		for _, e := range d.elements {
			touched[e] = true
		}
	}
	for _, l := range c.elements {
		touched[l.set.Name] = true
		for _, e := range l.elements {
			touched[e] = true
		}
	}
	return touched
}

// chain joins a chain with those that it refers to.
func (g *groups) chain(c *Chain, refs *references, touched map[any]bool, uses map[string]int) {
	stays := c.Base != nil
	for i := range c.Rules {
		stays = stays || c.Rules[i].Text == unlike
		met := map[string]bool{}
		refs.in(c.Rules[i].Text, func(b any) {
			switch b := b.(type) {
			case *Chain:
				g.join(c.Name, b.Name)
			case *Set:
				stays = stays || touched[b.Name]
				met[b.Name] = true
			case *Object:
				stays = stays || touched[b.Name]
			}
		})
		for name := range met {
			uses[name]++
		}
	}
	if stays {
		g.keep(c.Name)
	}
}

// elements finds the one map that packets go by to a group. Chains that are
// reached otherwise are not alone: a packet could meet several.
func (g *groups) elements(t *Table, refs *references, touched map[any]bool, uses map[string]int) {
	by := ""
	for _, s := range t.Sets {
		for _, e := range s.Elements {
			if e.Value == "" {
				continue
			}
			refs.in(e.Value, func(b any) {
				c, ok := b.(*Chain)
				if !ok {
					return
				}
				if by == "" {
					by = s.Name
				}
				if s.Name != by || uses[s.Name] > 1 || touched[e] || !strings.HasPrefix(e.Value, "goto ") {
					g.keep(c.Name)
				}
			})
		}
	}
}

func (g *groups) head(name string) string {
	for {
		next, ok := g.of[name]
		if !ok || next == name {
			return name
		}
		if after, ok := g.of[next]; ok {
			g.of[name] = after
		}
		name = next
	}
}

func (g *groups) join(a, b string) {
	a, b = g.head(a), g.head(b)
	if a == b {
		return
	}
	g.of[a] = b
	g.together[b] = g.together[b] || g.together[a]
}

// keep says that a chain and all of its group do not change alone.
func (g *groups) keep(name string) { g.together[g.head(name)] = true }

// split gives what happens to each group alone, and what is left.
func (g *groups) split(c *tableChange) (alone []*tableChange, left *tableChange) {
	left = &tableChange{family: c.family, name: c.name, elements: c.elements, others: c.others}
	by := map[string]*tableChange{}
	of := func(chain string) *tableChange {
		head := g.head(chain)
		if g.together[head] {
			return left
		}
		if by[head] == nil {
			by[head] = &tableChange{family: c.family, name: c.name}
			alone = append(alone, by[head])
		}
		return by[head]
	}
	for _, d := range c.deletions {
		to := left
		if d.verb == "flush" && d.kind == "chain" {
			to = of(d.name)
		}
		to.deletions = append(to.deletions, d)
	}
	if a := c.addition; a != nil {
		for _, chain := range a.chains {
			to := left
			if chain.Base == nil {
				to = of(chain.Name)
			}
			if to.addition == nil {
				to.addition = &addition{flags: a.flags}
			}
			to.addition.chains = append(to.addition.chains, chain)
		}
	}
	for _, i := range c.insertions {
		to := of(i.chain.Name)
		to.insertions = append(to.insertions, i)
	}
	return alone, left
}
