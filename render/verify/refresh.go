package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"golang.org/x/sys/unix"

	"weft/render/verify/nfnl"
)

// Change is an object that a [Reader.Refresh] found otherwise than before.
type Change struct {
	Table TableID
	// Chain is the chain that changed, or Set the set.
	Chain, Set string
	// Key is that of the element that changed, in a set that is the same otherwise.
	Key []byte
	// Gone says that the kernel does not hold it any more.
	Gone bool
	// Head says that more than rules or elements changed: the hook of a chain, the
	// type of a set.
	Head bool
	// Map says that the set is a map.
	Map bool
}

// ErrWhole is what cannot be refreshed: it must be read as a whole.
var ErrWhole = errors.New("the whole table may have changed")

// tooMany is how many of a table's chains, and of a set's elements, are read one
// by one.
const tooMany = 256

// Refresh brings a Ruleset up to date with what transactions touched, reads only
// that, and tells what of it is not as it was. If that is most of a table, or the
// table itself, it is [ErrWhole]. After an error the Ruleset is as it was before.
func (r *Reader) Refresh(ctx context.Context, rs *Ruleset, touched Touched) ([]Change, error) {
	ids := slices.SortedFunc(maps.Keys(touched), func(a, b TableID) int { return int(a.Family) - int(b.Family) })
	for _, id := range ids {
		if t := touched[id]; rs.find(id) == nil || t.Whole || len(t.Chains) > tooMany {
			return nil, fmt.Errorf("refresh table %s: %w", id, ErrWhole)
		}
	}
	var news []*update
	var generation uint32
	err := r.still(ctx, ids, func(gen uint32) error {
		generation, news = gen, nil
		for _, id := range ids {
			u := newUpdate(rs.find(id))
			news = append(news, u)
			if err := r.update(ctx, u, touched[id]); err != nil {
				return fmt.Errorf("refresh table %s: %w", id, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, u := range news {
		if u.bases() {
			rs.order = nil
		}
		changes = append(changes, u.apply()...)
	}
	rs.Generation = generation
	return changes, nil
}

func (rs *Ruleset) find(id TableID) *table {
	for _, t := range rs.tables {
		if t.id() == id {
			return t
		}
	}
	return nil
}

// update holds what was read again of a table; nil is what is gone.
type update struct {
	table    *table
	chains   map[string]*chain
	sets     map[string]*set
	elements map[string]map[string]*nfnl.Element
}

func newUpdate(t *table) *update {
	return &update{t, map[string]*chain{}, map[string]*set{}, map[string]map[string]*nfnl.Element{}}
}

func (r *Reader) update(ctx context.Context, u *update, touched *nfnl.Touched) error {
	for name := range touched.Chains {
		if err := r.chain(ctx, u, name); err != nil {
			return fmt.Errorf("read chain %s: %w", name, err)
		}
	}
	for name, what := range touched.Sets {
		if err := r.touchedSet(ctx, u, name, what); err != nil {
			return fmt.Errorf("read set %s: %w", name, err)
		}
	}
	return nil
}

func (r *Reader) chain(ctx context.Context, u *update, name string) error {
	t := u.table
	head, err := r.conn.Chain(ctx, t.Family, t.Name, name)
	if errors.Is(err, unix.ENOENT) {
		u.chains[name] = nil
		return nil
	}
	if err != nil {
		return err
	}
	rules, err := r.conn.Rules(ctx, t.Family, t.Name, name)
	if err != nil {
		return err
	}
	u.chains[name] = newChain(t, head, rules)
	if old := t.chains[name]; old != nil && len(old.changes()) > 0 || len(u.chains[name].changes()) > 0 {
		return ErrWhole // what packets change may be looked up anywhere
	}
	for _, s := range lookups(u.chains[name]) {
		known := t.sets[s]
		if u.sets[s] != nil || known != nil && known.Flags&nfnl.SetAnonymous == 0 {
			continue
		}
		if err := r.set(ctx, u, s); err != nil {
			return err
		}
	}
	return nil
}

func lookups(c *chain) []string {
	var names []string
	for e := range c.each() {
		if l, ok := e.(*nfnl.Lookup); ok {
			names = append(names, l.Set)
		}
	}
	return names
}

// touchedSet reads elements one by one where that is less work. An anonymous set
// goes and comes with its rule.
func (r *Reader) touchedSet(ctx context.Context, u *update, name string, touched *nfnl.TouchedSet) error {
	known := u.table.sets[name]
	switch {
	case u.sets[name] != nil, known != nil && known.Flags&nfnl.SetAnonymous != 0:
		return nil
	case known == nil, touched.Whole, !known.exactKeys(), len(touched.Keys) > tooMany:
		return r.set(ctx, u, name)
	}
	elements := make(map[string]*nfnl.Element, len(touched.Keys))
	for key := range touched.Keys {
		e, err := r.conn.Element(ctx, u.table.Family, u.table.Name, name, []byte(key))
		if err != nil {
			return err
		}
		elements[key] = e
	}
	u.elements[name] = elements
	return nil
}

func (r *Reader) set(ctx context.Context, u *update, name string) error {
	t := u.table
	head, err := r.conn.Set(ctx, t.Family, t.Name, name)
	if errors.Is(err, unix.ENOENT) {
		u.sets[name] = nil
		return nil
	}
	if err != nil {
		return err
	}
	elements, err := r.conn.Elements(ctx, t.Family, t.Name, name)
	if err != nil {
		return err
	}
	u.sets[name] = newSet(head, elements)
	return nil
}

// apply puts what was read into the table, and tells what is not as it was.
func (u *update) apply() (changes []Change) {
	t := u.table
	for _, name := range slices.Sorted(maps.Keys(u.chains)) {
		old, c := t.chains[name], u.chains[name]
		if change, ok := u.changedChain(old, c); ok {
			change.Table, change.Chain = t.id(), name
			changes = append(changes, change)
		}
		if old != nil {
			u.forget(old)
		}
		if delete(t.chains, name); c != nil {
			t.chains[name] = c
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.sets)) {
		changes = append(changes, u.applySet(name)...)
	}
	for _, name := range slices.Sorted(maps.Keys(u.elements)) {
		changes = append(changes, u.applyElements(name)...)
	}
	return changes
}

// bases reports whether a base chain is or was among the chains.
func (u *update) bases() bool {
	for name, c := range u.chains {
		if old := u.table.chains[name]; c != nil && c.Hook != nil || old != nil && old.Hook != nil {
			return true
		}
	}
	return false
}

// forget drops the anonymous sets of a chain's former rules.
func (u *update) forget(c *chain) {
	for _, name := range lookups(c) {
		if s := u.table.sets[name]; s != nil && s.Flags&nfnl.SetAnonymous != 0 && u.sets[name] == nil {
			delete(u.table.sets, name)
		}
	}
}

func (u *update) changedChain(old, c *chain) (Change, bool) {
	switch {
	case old == nil && c == nil:
		return Change{}, false
	case old == nil || c == nil:
		return Change{Gone: c == nil}, true
	}
	a, b := old.Chain, c.Chain
	a.Handle, b.Handle = 0, 0
	a.Use, b.Use = 0, 0
	if !reflect.DeepEqual(a, b) {
		return Change{Head: true}, true
	}
	return Change{}, !u.sameRules(old, c)
}

// sameRules compares what rules do and say.
func (u *update) sameRules(old, c *chain) bool {
	return slices.EqualFunc(old.list, c.list, func(a, b rule) bool {
		if a.comment != b.comment || a.to-a.from != b.to-b.from {
			return false
		}
		for i := range int(a.to - a.from) {
			if !u.sameNumbers(old.pool, old.exprs[int(a.from)+i], c.pool, c.exprs[int(b.from)+i]) {
				return false
			}
		}
		return true
	})
}

// sameNumbers compares what numbers of two pools stand for.
func (u *update) sameNumbers(p *pool, a uint32, q *pool, b uint32) bool {
	x, y := p.immediate(a), q.immediate(b)
	if x != nil || y != nil {
		return x != nil && y != nil && *x == *y
	}
	return u.sameExpr(p.all[a], q.all[b])
}

// sameExpr compares the content of sets that belong to the rules: their names are
// given anew with each rule, to others than before.
func (u *update) sameExpr(a, b nfnl.Expr) bool {
	x, ok := a.(*nfnl.Lookup)
	y, both := b.(*nfnl.Lookup)
	if !ok || !both {
		return a == b || reflect.DeepEqual(a, b)
	}
	old, s := u.table.sets[x.Set], u.sets[y.Set]
	if old == nil || s == nil || old.Flags&s.Flags&nfnl.SetAnonymous == 0 {
		return reflect.DeepEqual(a, b)
	}
	p, q := *x, *y
	p.Set, q.Set = "", ""
	return reflect.DeepEqual(p, q) && sameHead(old, s) && slices.EqualFunc(sorted(old), sorted(s), sameElement)
}

// sameHead compares sets but for their elements.
func sameHead(s, other *set) bool {
	a, b := *s.Set, *other.Set
	a.Handle, b.Handle = 0, 0
	if a.Flags&nfnl.SetAnonymous != 0 {
		a.Name, b.Name = "", ""
	}
	return reflect.DeepEqual(a, b)
}

func sorted(s *set) []nfnl.Element {
	return slices.SortedFunc(slices.Values(s.elements), func(a, b nfnl.Element) int { return compareEnds(&a, &b) })
}

func (u *update) applySet(name string) (changes []Change) {
	t := u.table
	old, s := t.sets[name], u.sets[name]
	if delete(t.sets, name); s != nil {
		s.dynamic = old != nil && old.dynamic
		t.sets[name] = s
	}
	change := Change{Table: t.id(), Set: name, Gone: s == nil}
	switch {
	case old == nil && s == nil, s != nil && s.Flags&nfnl.SetAnonymous != 0:
		return nil
	case old == nil || s == nil:
		change.Map = s != nil && s.Flags&nfnl.SetMap != 0
		return []Change{change}
	}
	switch same := sameHead(old, s); {
	case same && s.exactKeys():
		return changedElements(old, s)
	case same && slices.EqualFunc(sorted(old), sorted(s), sameElement):
		return nil
	}
	change.Head = true
	return []Change{change}
}

func changedElements(old, s *set) (changes []Change) {
	differ := func(key []byte, gone bool) {
		changes = append(changes, Change{Table: TableID{Family: s.Family, Name: s.Table}, Set: s.Name, Key: key, Gone: gone})
	}
	for i := range old.elements {
		e := &old.elements[i]
		switch k := s.at(string(e.Key)); {
		case k == none:
			differ(e.Key, true)
		case !sameElement(*e, s.elements[k]):
			differ(e.Key, false)
		}
	}
	for i := range s.elements {
		if e := &s.elements[i]; old.at(string(e.Key)) == none {
			differ(e.Key, false)
		}
	}
	return changes
}

// sameElement compares all but what is left of a timeout.
func sameElement(a, b nfnl.Element) bool {
	a.Expiration, b.Expiration, a.HasExpiration, b.HasExpiration = 0, 0, false, false
	return reflect.DeepEqual(a, b)
}

func (u *update) applyElements(name string) (changes []Change) {
	s := u.table.sets[name]
	if s == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(u.elements[name])) {
		e := u.elements[name][key]
		at := s.at(key)
		if e == nil && at != none || e != nil && (at == none || !sameElement(*e, s.elements[at])) {
			changes = append(changes, Change{Table: u.table.id(), Set: name, Key: []byte(key), Gone: e == nil})
		}
		s.replace(key, e)
	}
	return changes
}
