package ruleset

import (
	"slices"
	"strings"
)

// tableDiff compares two tables of one name.
type tableDiff struct {
	old, new *Table
	change   *tableChange
	touched  Touched
	replaced []Replaced

	chains  pairs[Chain]
	sets    pairs[Set]
	objects pairs[Object]
	// again are blocks of the old table that are taken out and put in again,
	// with the reason.
	again map[any]string
	// letGo are chains and elements of the old table that stay and refer to such
	// a block.
	letGo map[any]bool

	chainChanges []chainChange
	elementDiffs []elementDiff
	// out and in are the blocks that are deleted and added, those that are
	// replaced in both.
	out []any
	in  addition
}

// compare finds what turns the old table into the new one. Why the table must be
// replaced whole comes back, or nothing.
func (d *tableDiff) compare() (why string) {
	if why := d.head(); why != "" {
		return why
	}
	if why := d.pair(); why != "" {
		return why
	}
	d.findAgain()
	if d.join() {
		d.pairChains()
		d.findAgain()
	}
	if d.dormancy() && d.basesComeOrGo() {
		return "it is put to sleep or woken up, and the kernel takes no change of base chains with that"
	}
	d.findUsers()
	d.compareChains()
	d.compareObjects()
	d.compareSets()
	d.write()
	d.touch()
	return ""
}

// findAgain finds what is replaced.
func (d *tableDiff) findAgain() {
	d.again, d.replaced = map[any]string{}, nil
	d.findReplaced()
	d.findMisplaced()
}

// join joins the blocks of all chains, where chains matter that are the same on both
// sides: if something is replaced, to which they may refer, or if the order of base
// chains does. It is false if there is nothing to join.
func (d *tableDiff) join() bool {
	if len(d.again) == 0 && !d.basesDiffer() {
		return false
	}
	before, after := joinAll(d.old), joinAll(d.new)
	if len(before) == len(d.old.Chains) && len(after) == len(d.new.Chains) {
		return false
	}
	old, new := *d.old, *d.new
	old.Chains, new.Chains = before, after
	d.old, d.new = &old, &new
	return true
}

// head compares what a table is without its blocks.
func (d *tableDiff) head() (why string) {
	b, a := d.old, d.new
	switch {
	case len(b.Others)+len(a.Others) > 0:
		if tableText(b) == tableText(a) {
			return ""
		}
		return "`" + slices.Concat(b.Others, a.Others)[0].Text + "` is beyond what can be compared"
	case b.Comment != a.Comment:
		return "its comment differs"
	case !slices.Equal(otherFlags(b), otherFlags(a)):
		return "its flags differ"
	}
	return ""
}

func tableText(t *Table) string {
	var w writer
	w.table(t)
	return w.String()
}

const dormant = "dormant"

// otherFlags are the flags of a table that cannot be changed.
func otherFlags(t *Table) []string {
	flags := slices.DeleteFunc(slices.Clone(t.Flags), func(f string) bool { return f == dormant })
	slices.Sort(flags)
	return flags
}

// dormancy tells whether the table goes to sleep or wakes up.
func (d *tableDiff) dormancy() bool {
	return slices.Contains(d.old.Flags, dormant) != slices.Contains(d.new.Flags, dormant)
}

// pair matches the blocks by their names.
func (d *tableDiff) pair() (why string) {
	d.pairChains()
	var twice [2]string
	d.sets, twice[0] = pairUp(d.old.Sets, d.new.Sets, func(s *Set) string { return s.Name })
	d.objects, twice[1] = pairUp(d.old.Objects, d.new.Objects, func(o *Object) string { return o.Kind + " " + o.Name })
	for _, name := range twice {
		if name != "" {
			return name + " is defined twice"
		}
	}
	return ""
}

// pairChains matches the chains, of which none stands twice once its blocks are joined.
func (d *tableDiff) pairChains() {
	names := namesOf(unshared(d.old.Chains, d.new.Chains))
	d.chains, _ = pairUp(names.joined(d.old), names.joined(d.new), func(c *Chain) string { return c.Name })
}

// basesComeOrGo tells whether a base chain is new, gone or replaced.
func (d *tableDiff) basesComeOrGo() bool {
	for _, c := range slices.Concat(d.chains.added, d.chains.gone) {
		if c.Base != nil {
			return true
		}
	}
	for block := range d.again {
		if c, ok := block.(*Chain); ok && c.Base != nil {
			return true
		}
	}
	return false
}

// findReplaced finds the blocks of which something differs that nft cannot
// change.
func (d *tableDiff) findReplaced() {
	for _, p := range d.chains.changed {
		d.replace(p.old, "chain", p.old.Name, chainDifference(p.old, p.new))
	}
	for _, p := range d.sets.changed {
		d.replace(p.old, setKeyword(p.old), p.old.Name, setDifference(p.old, p.new))
	}
	for _, p := range d.objects.changed {
		if !slices.Equal(p.old.Body, p.new.Body) {
			d.replace(p.old, p.old.Kind, p.old.Name, "its definition differs")
		}
	}
}

// replace notes that a block of the old table is replaced, if there is a reason.
func (d *tableDiff) replace(block any, kind, name, why string) {
	if why == "" || d.again[block] != "" {
		return
	}
	d.again[block] = why
	d.replaced = append(d.replaced, Replaced{d.what(kind, name), why})
}

func (d *tableDiff) what(kind, name string) string {
	return strings.Join([]string{kind, d.new.Family, d.new.Name, name}, " ")
}

// chainDifference is why a chain cannot be changed into another, or nothing.
func chainDifference(b, a *Chain) string {
	switch {
	case b.Comment != a.Comment:
		return "its comment differs"
	case (b.Base == nil) != (a.Base == nil):
		return "it is a base chain on one side alone"
	case b.Base == nil:
		return ""
	case b.Base.Type != a.Base.Type || b.Base.Hook != a.Base.Hook:
		return "its hook differs"
	case b.Base.priorityText() != a.Base.priorityText():
		return "its priority differs"
	case !slices.Equal(b.Base.Devices, a.Base.Devices):
		return "its devices differ"
	case !slices.Equal(b.Base.Flags, a.Base.Flags):
		return "its flags differ"
	}
	return ""
}

// policyChanges tells whether a chain gets another policy, which nft can change.
func policyChanges(b, a *Chain) bool {
	return b.Base != nil && a.Base != nil && policy(b.Base) != policy(a.Base)
}

func policy(b *Base) string {
	if b.Policy == "" {
		return "accept"
	}
	return b.Policy
}

// setDifference is why a set cannot be changed into another, or nothing.
func setDifference(b, a *Set) string {
	switch {
	case b.Map != a.Map:
		return "one is a set and one is a map"
	case b.Typeof != a.Typeof || b.Key != a.Key || b.Data != a.Data:
		return "its type differs"
	case !slices.Equal(sortedFlags(b), sortedFlags(a)):
		return "its flags differ"
	case b.Timeout != a.Timeout || b.GCInterval != a.GCInterval:
		return "its timeout differs"
	case b.Size != a.Size || b.Policy != a.Policy || b.AutoMerge != a.AutoMerge:
		return "its size, policy or auto-merge differs"
	case b.Comment != a.Comment:
		return "its comment differs"
	case !slices.Equal(b.Stateful, a.Stateful):
		return "what it keeps for each element differs"
	case slices.Contains(b.Flags, "constant") && elementText(b) != elementText(a):
		return "its elements are constant and differ"
	}
	return ""
}

func sortedFlags(s *Set) []string { return slices.Sorted(slices.Values(s.Flags)) }

func elementText(s *Set) string {
	var w writer
	w.elements(s.Elements)
	return w.String()
}

func setKeyword(s *Set) string {
	if s.Map {
		return "map"
	}
	return "set"
}

// findMisplaced finds the base chains that would be called in another order than
// in the new text. Of those with the same hook and priority, the kernel goes by
// the order in which they were made: those that stay must be the first.
func (d *tableDiff) findMisplaced() {
	if !d.basesDiffer() {
		return
	}
	stay := map[string]int{}
	for i, c := range d.old.Chains {
		if c.Base != nil && d.again[c] == "" {
			stay[c.Name] = i
		}
	}
	type queue struct {
		last   int // of those that stay
		broken bool
	}
	queues := map[place]*queue{}
	for _, c := range d.new.Chains {
		if c.Base == nil {
			continue
		}
		q := queues[c.Base.place()]
		if q == nil {
			q = &queue{last: -1}
			queues[c.Base.place()] = q
		}
		i, stays := stay[c.Name]
		if q.broken = q.broken || !stays || i < q.last; !q.broken {
			q.last = i
		} else if stays {
			d.replace(d.old.Chains[i], "chain", c.Name, "chains that are called before it are put in later")
		}
	}
}

// basesDiffer tells whether the order of base chains could have changed.
func (d *tableDiff) basesDiffer() bool {
	if d.chains.moved {
		return true
	}
	for _, c := range d.chains.added {
		if c.Base != nil {
			return true
		}
	}
	for _, p := range d.chains.changed {
		if p.new.Base != nil {
			return true
		}
	}
	return false
}

// place is where base chains stand one behind the other.
type place struct {
	nat            bool // the kernel calls these apart from all others
	hook, priority string
}

func (b *Base) place() place { return place{b.Type == "nat", b.Hook, b.priorityText()} }

// findUsers finds what stays and refers to a block that is replaced.
func (d *tableDiff) findUsers() {
	d.letGo = map[any]bool{}
	if len(d.again) == 0 {
		return
	}
	refs := newReferences()
	for block := range d.again {
		refs.add(block)
	}
	for _, c := range d.old.Chains {
		refs.inBlock(c, func(any) { d.letGo[c] = true })
	}
	for _, s := range d.old.Sets {
		for _, e := range s.Elements {
			if e.Value != "" {
				refs.in(e.Value, func(any) { d.letGo[e] = true })
			}
		}
	}
}
