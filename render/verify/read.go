package verify

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"weft/render/verify/nfnl"
)

// readAttempts is how often a read is begun again when our own tables were
// changed while it ran.
const readAttempts = 5

// ErrMoving is a read that could not be finished because somebody kept changing
// the tables that were read.
var ErrMoving = errors.New("tables changed while they were read")

// Reader reads tables of one network namespace. It is for one goroutine at a time.
type Reader struct {
	netns int
	conn  *nfnl.Conn
	// second reads rules while conn reads sets: for tables with a map for each
	// ServicePort, either takes as long as the other.
	second *nfnl.Conn
}

// Open opens a Reader for the network namespace with the descriptor netns; 0 is
// that of the calling thread.
func Open(netns int) (*Reader, error) {
	conn, err := nfnl.Dial(netns)
	if err != nil {
		return nil, err
	}
	second, err := nfnl.Dial(netns)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Reader{netns: netns, conn: conn, second: second}, nil
}

// Close closes the Reader.
func (r *Reader) Close() error { return errors.Join(r.conn.Close(), r.second.Close()) }

// Read reads the named tables of a network namespace once; see [Reader.Read].
func Read(ctx context.Context, netns int, tables []TableID) (*Ruleset, error) {
	r, err := Open(netns)
	if err != nil {
		return nil, err
	}
	rs, err := r.Read(ctx, tables)
	return rs, errors.Join(err, r.Close())
}

// Read reads the named tables as of one moment: what was read counts only if no
// transaction touched one of them meanwhile. Those of other tables do not
// matter. A table that does not exist is absent from the Ruleset, not an error.
func (r *Reader) Read(ctx context.Context, tables []TableID) (*Ruleset, error) {
	rs := &Ruleset{}
	err := r.still(ctx, tables, func(gen uint32) error {
		rs.Generation, rs.tables = gen, nil
		for _, id := range tables {
			t, err := r.table(ctx, id)
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read table %s: %w", id, err)
			}
			rs.tables = append(rs.tables, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rs, nil
}

// still runs read until nothing touched the tables while it ran. The first try
// only compares generations; later ones listen to who commits.
func (r *Reader) still(ctx context.Context, tables []TableID, read func(gen uint32) error) error {
	var err error
	for i := range readAttempts {
		var moved bool
		if moved, err = r.attempt(ctx, tables, i > 0, read); !moved {
			return err
		}
	}
	return errors.Join(ErrMoving, err)
}

// attempt reports whether the read has to begin again. An error of a read during
// which something moved is a consequence of that: a set listed a moment ago may
// be gone.
func (r *Reader) attempt(ctx context.Context, tables []TableID, listen bool, read func(uint32) error) (bool, error) {
	var watch *nfnl.Watch
	if listen {
		var err error
		if watch, err = nfnl.DialWatch(r.netns); err != nil {
			return false, err
		}
		defer watch.Close()
	}
	before, err := r.conn.Generation(ctx)
	if err != nil {
		return false, fmt.Errorf("read generation: %w", err)
	}
	readErr := read(before)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	after, err := r.conn.Generation(ctx)
	if err != nil {
		return false, errors.Join(readErr, fmt.Errorf("read generation: %w", err))
	}
	if before == after || watch == nil {
		return before != after || errors.Is(readErr, nfnl.ErrInterrupted), readErr
	}
	touched, err := watch.Touched(ctx, after, func(f Family, name string) bool { return contains(tables, TableID{f, name}) })
	if err != nil {
		return false, errors.Join(readErr, err)
	}
	return touched || errors.Is(readErr, nfnl.ErrInterrupted), readErr
}

func contains(tables []TableID, id TableID) bool {
	for _, t := range tables {
		if t == id {
			return true
		}
	}
	return false
}

func (r *Reader) table(ctx context.Context, id TableID) (*table, error) {
	head, err := r.conn.Table(ctx, id.Family, id.Name)
	if err != nil {
		return nil, err
	}
	t := &table{Table: head, chains: map[string]*chain{}, sets: map[string]*set{}}
	chains, err := r.conn.Chains(ctx, id.Family, id.Name)
	if err != nil {
		return nil, fmt.Errorf("read chains: %w", err)
	}
	for _, c := range chains {
		t.chains[c.Name] = &chain{Chain: c, table: t}
	}
	sets, err := r.conn.Sets(ctx, id.Family, id.Name)
	if err != nil {
		return nil, fmt.Errorf("read sets: %w", err)
	}
	return t, r.contents(ctx, t, sets)
}

// contents reads rules and elements side by side.
func (r *Reader) contents(ctx context.Context, t *table, sets []*nfnl.Set) error {
	group, ctx := errgroup.WithContext(ctx)
	queue := make(chan *nfnl.Set, len(sets))
	for _, s := range sets {
		queue <- s
	}
	close(queue)
	var here, there []*set
	group.Go(func() (err error) {
		here, err = elements(ctx, r.conn, t, queue)
		return err
	})
	group.Go(func() (err error) {
		rules, err := r.second.Rules(ctx, t.Family, t.Name, "")
		if err != nil {
			return fmt.Errorf("read rules: %w", err)
		}
		if err := t.distribute(rules); err != nil {
			return err
		}
		there, err = elements(ctx, r.second, t, queue)
		return err
	})
	err := group.Wait()
	for _, s := range append(here, there...) {
		t.sets[s.Name] = s
	}
	return err
}

// distribute gives each chain its rules.
func (t *table) distribute(rules []*nfnl.Rule) error {
	for _, rule := range rules {
		c := t.chains[rule.Chain]
		if c == nil {
			return fmt.Errorf("rule %d is in chain %s, which is not listed: %w", rule.Handle, rule.Chain, nfnl.ErrInterrupted)
		}
		c.rules = append(c.rules, rule)
	}
	return nil
}

// elements reads the elements of the sets that are left in the queue.
func elements(ctx context.Context, conn *nfnl.Conn, t *table, queue <-chan *nfnl.Set) ([]*set, error) {
	var list []*set
	for s := range queue {
		elements, err := conn.Elements(ctx, t.Family, t.Name, s.Name)
		if err != nil {
			return nil, fmt.Errorf("read elements of %s: %w", s.Name, err)
		}
		list = append(list, newSet(s, elements))
	}
	return list, nil
}

// Touched names what a transaction changed in one table.
type Touched struct {
	Table TableID
	// Chains whose rules changed, or that were added or deleted.
	Chains []string
	// Sets whose elements changed, or that were added or deleted. The anonymous
	// sets of the chains' rules need not be named.
	Sets []string
}

// Refresh brings a Ruleset up to date with what a transaction touched, and reads
// only that. After an error the Ruleset is as it was before.
func (r *Reader) Refresh(ctx context.Context, rs *Ruleset, touched Touched) error {
	old := rs.find(touched.Table)
	if old == nil {
		return fmt.Errorf("refresh table %s: %w", touched.Table, unix.ENOENT)
	}
	var news update
	var generation uint32
	err := r.still(ctx, []TableID{touched.Table}, func(gen uint32) error {
		generation = gen
		var err error
		news, err = r.touched(ctx, old, touched)
		return err
	})
	if err != nil {
		return fmt.Errorf("refresh table %s: %w", touched.Table, err)
	}
	news.apply(old)
	rs.order = nil
	rs.Generation = generation
	return nil
}

func (rs *Ruleset) find(id TableID) *table {
	for _, t := range rs.tables {
		if t.id() == id {
			return t
		}
	}
	return nil
}

// update holds what was read again; nil is what is gone.
type update struct {
	chains map[string]*chain
	sets   map[string]*set
}

func (u update) apply(t *table) {
	for name, c := range u.chains {
		if old := t.chains[name]; old != nil {
			u.forget(t, old)
		}
		if delete(t.chains, name); c != nil {
			t.chains[name] = c
		}
	}
	for name, s := range u.sets {
		if delete(t.sets, name); s != nil {
			t.sets[name] = s
		}
	}
}

// forget drops the anonymous sets of a chain's former rules.
func (u update) forget(t *table, c *chain) {
	for _, name := range lookups(c.rules) {
		if s := t.sets[name]; s != nil && s.Flags&nfnl.SetAnonymous != 0 && u.sets[name] == nil {
			delete(t.sets, name)
		}
	}
}

func lookups(rules []*nfnl.Rule) []string {
	var names []string
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			if l, ok := e.(*nfnl.Lookup); ok {
				names = append(names, l.Set)
			}
		}
	}
	return names
}

func (r *Reader) touched(ctx context.Context, t *table, touched Touched) (update, error) {
	u := update{map[string]*chain{}, map[string]*set{}}
	for _, name := range touched.Chains {
		if err := r.chain(ctx, t, name, u); err != nil {
			return u, fmt.Errorf("read chain %s: %w", name, err)
		}
	}
	for _, name := range touched.Sets {
		if err := r.set(ctx, t, name, u); err != nil {
			return u, fmt.Errorf("read set %s: %w", name, err)
		}
	}
	return u, nil
}

func (r *Reader) chain(ctx context.Context, t *table, name string, u update) error {
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
	u.chains[name] = &chain{Chain: head, table: t, rules: rules}
	for _, s := range lookups(rules) {
		known := t.sets[s]
		if u.sets[s] != nil || known != nil && known.Flags&nfnl.SetAnonymous == 0 {
			continue
		}
		if err := r.set(ctx, t, s, u); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) set(ctx context.Context, t *table, name string, u update) error {
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
