package nfnl

import "maps"

// TableID names a table.
type TableID struct {
	Family Family
	Name   string
}

// String is the table as nft names it: family and name.
func (t TableID) String() string { return t.Family.String() + " " + t.Name }

// Touched is what transactions changed in one table. Anonymous sets are not
// told: each belongs to one rule of a chain and never changes without it.
type Touched struct {
	// Whole says that it may be anything: the table itself or one of its objects
	// was added, deleted or changed, or there is too much to name.
	Whole bool
	// Chains are those that were added, deleted or changed, or whose rules were.
	Chains map[string]bool
	// Sets are those that were added or deleted, or whose elements were.
	Sets map[string]*TouchedSet
}

// TouchedSet is what transactions changed in one set.
type TouchedSet struct {
	// Whole says that it may be all of it: the set itself was added or deleted.
	Whole bool
	// Keys are those of the elements, as the kernel holds them.
	Keys map[string]bool
}

// maxTouched is how many names and keys are told before it is the whole table:
// to read as many one by one costs more than to read all at once.
const maxTouched = 4096

// Chain notes a chain.
func (t *Touched) Chain(name []byte) {
	if t.Whole || t.Chains[string(name)] {
		return
	}
	if t.Chains == nil {
		t.Chains = map[string]bool{}
	}
	t.Chains[string(name)] = true
	t.limit()
}

// Set notes a set that was added or deleted.
func (t *Touched) Set(name []byte) {
	if s := t.set(name); s != nil {
		s.Whole, s.Keys = true, nil
	}
}

// Element notes an element of a set; one without a key stands for all.
func (t *Touched) Element(set, key []byte) {
	s := t.set(set)
	if s == nil || s.Whole || s.Keys[string(key)] {
		return
	}
	if len(key) == 0 {
		s.Whole, s.Keys = true, nil
		return
	}
	if s.Keys == nil {
		s.Keys = map[string]bool{}
	}
	s.Keys[string(key)] = true
	t.limit()
}

// set is the note about a set; nil if everything is touched anyway.
func (t *Touched) set(name []byte) *TouchedSet {
	if t.Whole {
		return nil
	}
	s := t.Sets[string(name)]
	if s == nil {
		if t.Sets == nil {
			t.Sets = map[string]*TouchedSet{}
		}
		s = &TouchedSet{}
		t.Sets[string(name)] = s
	}
	return s
}

// Everything notes that it may be anything.
func (t *Touched) Everything() { *t = Touched{Whole: true} }

func (t *Touched) limit() {
	if t.Size() > maxTouched {
		t.Everything()
	}
}

// Size is how many names and keys are told.
func (t *Touched) Size() int {
	n := len(t.Chains)
	for _, s := range t.Sets {
		n += 1 + len(s.Keys)
	}
	return n
}

// Add notes all that another transaction touched in the same table.
func (t *Touched) Add(other *Touched) {
	if other.Whole || t.Whole {
		t.Everything()
		return
	}
	if t.Chains == nil {
		t.Chains = map[string]bool{}
	}
	maps.Copy(t.Chains, other.Chains)
	for name, s := range other.Sets {
		mine := t.set([]byte(name))
		if mine.Whole = mine.Whole || s.Whole; mine.Whole {
			mine.Keys = nil
			continue
		}
		if mine.Keys == nil {
			mine.Keys = map[string]bool{}
		}
		maps.Copy(mine.Keys, s.Keys)
	}
	t.limit()
}
