package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

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

// Requests is how many requests were sent to the kernel, each for one object or for
// a list of them.
func (r *Reader) Requests() int { return r.conn.Requests() + r.second.Requests() }

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

// Latest is the number of the last transaction in the namespace.
func (r *Reader) Latest(ctx context.Context) (uint32, error) {
	gen, err := r.conn.Generation(ctx)
	if err != nil {
		return 0, fmt.Errorf("read generation: %w", err)
	}
	return gen, nil
}

// Exists reports whether any of the tables is there.
func (r *Reader) Exists(ctx context.Context, tables []TableID) (bool, error) {
	for _, id := range tables {
		_, err := r.conn.Table(ctx, id.Family, id.Name)
		if !errors.Is(err, unix.ENOENT) {
			return err == nil, err
		}
	}
	return false, nil
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
	touched, err := watch.Touched(ctx, after, func(f Family, name string) bool { return contains(tables, TableID{Family: f, Name: name}) })
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
		t.chains[c.Name] = newChain(t, c, nil)
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
		rules, err := r.second.Rules(ctx, t.Family, t.Name, t.readAlone()...)
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
	for _, c := range t.chains {
		for _, name := range c.changes() {
			if s := t.sets[name]; s != nil {
				s.dynamic = true
			}
		}
	}
	return err
}

// readAlone names the chains whose rules are read chain by chain, where that is less
// work than all of the table's at once: what the kernel does for these grows with the
// square of their number (measured: some 0.1 ns times that), and a chain alone takes
// three calls of it (25 us). A wrong guess costs time.
func (t *table) readAlone() (names []string) {
	const alone = 25e-6 / 0.1e-9
	rules := 0.0
	for _, c := range t.chains {
		rules += float64(c.Use)
	}
	if rules*rules < alone*float64(len(t.chains)) {
		return nil
	}
	return slices.Sorted(maps.Keys(t.chains))
}

// changes are the sets that packets change in the chain.
func (c *chain) changes() (sets []string) {
	for e := range c.each() {
		if d, ok := e.(*nfnl.Dynset); ok {
			sets = append(sets, d.Set)
		}
	}
	return sets
}

// distribute gives each chain its rules. They come chain by chain.
func (t *table) distribute(rules []*nfnl.Rule) error {
	together := new(pool)
	defer together.close()
	for len(rules) > 0 {
		first, n := rules[0], 1
		for n < len(rules) && rules[n].Chain == first.Chain {
			n++
		}
		c := t.chains[first.Chain]
		if c == nil || len(c.list) > 0 {
			return fmt.Errorf("rule %d is in chain %s, which is not listed, or was told of before: %w", first.Handle, first.Chain, nfnl.ErrInterrupted)
		}
		c.rules = rulesOf(rules[:n], together)
		rules = rules[n:]
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
		read := newSet(s, elements)
		read.prepare() // now, while the other connection waits for the kernel
		list = append(list, read)
	}
	return list, nil
}
