package ruleset

import "slices"

// Linter judges one ruleset after the other, and only what changed of them. The
// zero value is ready. It is for one goroutine at a time.
//
// It remembers the last ruleset that was clean, and asks whether what differs
// from it could be wrong. Where it could, or where that cannot be told from the
// difference alone, the whole ruleset is judged as if it were the first: what is
// found is what [Lint] finds.
type Linter struct {
	linter *linter
	last   *Ruleset // clean
	reach  map[scopeKey]reach
}

// Lint is [Lint] with the memory of the rulesets before.
func (l *Linter) Lint(rs *Ruleset, opts Options) []Finding {
	if l.last == rs && l.linter.opts == opts || l.stillClean(rs, opts) {
		l.last = rs
		return nil
	}
	l.last = nil
	if len(rs.items.members) == 0 { // made by hand
		return Lint(rs, opts)
	}
	linter := newLinter(opts)
	findings := linter.lint(rs)
	if len(findings) == 0 && onceEach(rs.Tables) {
		l.linter, l.last, l.reach = linter, rs, map[scopeKey]reach{}
		for _, t := range rs.Tables {
			scope := linter.scope(t)
			scope.shorten()
			l.reach[scopeKey{t.Family, t.Name}] = reachOf(scope, t)
		}
	}
	return findings
}

// shorten forgets that rules behind one another do the same, as thousands do.
func (s *scope) shorten() {
	for c, events := range s.events {
		s.events[c] = slices.Clone(slices.CompactFunc(events, alike))
	}
}

func onceEach(tables []*Table) bool {
	seen := map[scopeKey]bool{}
	for _, t := range tables {
		key := scopeKey{t.Family, t.Name}
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

// stillClean tells whether the ruleset is clean because the last one was.
func (l *Linter) stillClean(rs *Ruleset, opts Options) bool {
	old := l.last
	if old == nil || l.linter.opts != opts || len(rs.early)+len(rs.Others) > 0 || len(old.Tables) != len(rs.Tables) {
		return false
	}
	if itemsHaveResidue(old.items, rs.items) {
		return false
	}
	for i, t := range rs.Tables {
		if t != old.Tables[i] && !l.tableStillClean(old.Tables[i], t) {
			return false
		}
	}
	return true
}

// itemsHaveResidue looks into the items that are new, but not into tables.
func itemsHaveResidue(old, new sequence[item]) bool {
	_, added := unshared(old.members, new.members)
	for _, it := range added {
		switch c := it.content.(type) {
		case *Table:
		case *Set:
			if hasResidue(c.head) || hasResidue(c.tail) {
				return true
			}
		default:
			if hasResidue(it.text) {
				return true
			}
		}
	}
	return false
}

func (l *Linter) tableStillClean(old, new *Table) bool {
	if old.Family != new.Family || old.Name != new.Name || old.head != new.head || old.tail != new.tail ||
		old.Comment != new.Comment || len(new.Others) > 0 || !slices.Equal(old.Objects, new.Objects) {
		return false
	}
	if itemsHaveResidue(old.members, new.members) {
		return false
	}
	sets, twice := pairUp(old.Sets, new.Sets, func(s *Set) string { return s.Name })
	if twice != "" || len(sets.gone)+len(sets.added) > 0 {
		return false
	}
	j := judgement{l.linter, l.linter.scope(new), new.Family, l.reach[scopeKey{new.Family, new.Name}]}
	gone, added := unshared(old.Chains, new.Chains)
	ok := j.names(gone, added) && j.sets(sets.changed) && j.chains(added, sets.changed) && !j.missed(gone)
	return ok && len(l.linter.findings) == 0
}

// judgement is that of what changed in one table. Its methods report whether all
// may still be clean; findings of the linter say that it is not.
type judgement struct {
	*linter
	scope  *scope
	family string
	reach  reach
}

// names notes which blocks of chains there are; false if two of them may not be of
// one chain.
func (j *judgement) names(gone, added []*Chain) bool {
	for _, c := range gone {
		left := slices.DeleteFunc(j.scope.chains[c.Name], func(b *Chain) bool { return b == c })
		if j.scope.chains[c.Name] = left; len(left) == 0 {
			delete(j.scope.chains, c.Name)
		}
		j.forget(c)
	}
	for _, c := range added {
		j.name(0, "chain", c.Name)
		j.scope.chains[c.Name] = append(j.scope.chains[c.Name], c)
	}
	return !slices.ContainsFunc(added, func(c *Chain) bool { return !c.mayJoin(j.scope.chains[c.Name]) })
}

func (j *judgement) forget(c *Chain) {
	delete(j.scope.events, c)
	delete(j.scope.looks, c)
}

// sets judges the elements that are new. Where those of a map matter to the rules
// that look into it, as those that numgen draws from, it gives up.
func (j *judgement) sets(changed []pair[Set]) bool {
	for _, p := range changed {
		if setDifference(p.old, p.new) != "" || p.new.Map && p.new.Data != "verdict" {
			return false
		}
		before, was := j.scope.verdicts[p.old], follow(p.old.Elements, p.new.Elements)
		for i, e := range p.new.Elements {
			if was[i] < 0 && hasResidue(e.tile) {
				return false
			}
		}
		delete(j.scope.verdicts, p.old)
		set := placedSet{Set: p.new}
		j.scope.sets[p.new.Name] = set
		j.scope.verdicts[p.new] = j.elements(j.scope, set, func(i int) (event, bool) {
			if was[i] < 0 {
				return event{}, false
			}
			return before[was[i]], true
		})
	}
	return true
}

// follow tells where each of new was in old: -1 for what is new.
func follow[T any](old, new []*T) []int {
	was := make([]int, len(new))
	i := 0
	for j := 0; j < len(new); {
		if i < len(old) && old[i] == new[j] {
			was[j] = i
			i++
			j++
			continue
		}
		x, y := meeting(old[i:], new[j:])
		for range y {
			was[j] = -1
			j++
		}
		if i += x; x+y == 0 { // nothing is left of old
			was[j] = -1
			j++
		}
	}
	return was
}

// chains judges the blocks that are new, and those that look into a map that changed.
func (j *judgement) chains(added []*Chain, sets []pair[Set]) bool {
	list := slices.Clone(added)
	for _, s := range sets {
		for c, looks := range j.scope.looks {
			if s.new.Map && slices.Contains(looks, s.new.Name) && !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	placed := make([]placedChain, len(list))
	for i, c := range list {
		j.forget(c)
		placed[i] = placedChain{c, 0}
	}
	j.linter.chains(j.scope, j.family, placed)
	for _, c := range list {
		if !j.reach.again(j.scope, c) {
			return false
		}
	}
	return true
}

// missed tells whether somebody still jumps to a chain that is gone.
func (j *judgement) missed(gone []*Chain) bool {
	if len(gone) == 0 {
		return false
	}
	names := map[string]bool{}
	for _, c := range gone {
		if j.scope.chains[c.Name] == nil {
			names[c.Name] = true
		}
	}
	if len(names) == 0 {
		return false
	}
	misses := func(e event) bool { return e.action == jumps && names[e.target] }
	for _, events := range j.scope.events {
		if slices.ContainsFunc(events, misses) {
			return true
		}
	}
	for _, events := range j.scope.verdicts {
		if slices.ContainsFunc(events, misses) {
			return true
		}
	}
	return false
}

// reach tells of each chain how packets come to it, at most: it is never less.
type reach map[string]manner

// manner is how packets come to a chain.
type manner uint8

const (
	called    manner = 1 << iota // at all
	unmatched                    // without a look at the destination address
	fromNat                      // from a nat base chain
)

// reachOf follows the jumps from each base chain of a clean table.
func reachOf(s *scope, t *Table) reach {
	r := reach{}
	for _, c := range t.Chains {
		if c.Base != nil {
			r.again(s, c)
		}
	}
	return r
}

// again follows the jumps from a chain whose rules or base changed. It is false
// if a packet may come to a rule that is wrong for it.
func (r reach) again(s *scope, c *Chain) bool {
	if c.Base != nil {
		r[c.Name] |= called | unmatched
		if c.Base.Type == "nat" {
			r[c.Name] |= fromNat
		}
	}
	return r[c.Name] == 0 || r.follow(s, c.Name)
}

// follow goes on from a chain in all manners in which packets come to it.
func (r reach) follow(s *scope, name string) bool {
	how := r[name]
	for e := range s.eventsOf(name) {
		switch {
		case e.action == translates && how&unmatched != 0 && !e.matched,
			e.action == drops && how&fromNat != 0:
			return false
		case e.action == jumps:
			there := how
			if e.matched {
				there &^= unmatched
			}
			if r[e.target]|there != r[e.target] {
				if r[e.target] |= there; !r.follow(s, e.target) {
					return false
				}
			}
		}
	}
	return true
}
