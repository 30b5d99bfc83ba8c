// Package watch is the half of weft before the state file: one loop that
// gathers what there is, measures, weighs and writes.
//
// It is level-triggered. A pass asks the source for all that it knows now and
// writes what follows from it; a change only says that a pass is due, so a lost
// or doubled notice costs time and never correctness. What did not change is
// not made again, because sources keep the pointers of what they made: see
// [state.State].
//
// A first change is written at once. A burst is gathered until it pauses for
// Loop.MinInterval, but no longer than Loop.MaxInterval.
//
// Sources, meters and the weigher know nothing of each other. All that they
// share is the state that the loop hands around.
package watch

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/state"
	"weft/state/status"
)

// The defaults of a Loop.
const (
	DefaultMinInterval = 100 * time.Millisecond
	DefaultMaxInterval = 500 * time.Millisecond
)

// firstRetry and lastRetry bound the wait before a write that failed is tried
// again: it doubles from the one to the other.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// longestPass is how long the loop may be at work without being held for hung.
const longestPass = 2 * time.Minute

// Source says which ServicePorts and nodes there are.
type Source interface {
	// Run keeps up with the source until ctx ends, and calls changed whenever
	// State has something new to say. changed returns at once and may be called
	// from any goroutine.
	Run(ctx context.Context, changed func()) error
	// State is all that the source knows, or nil while it does not know all yet.
	// Its Written is the time until which the source vouches for it; zero is now.
	// The State and the lists in it may be handed out again and are changed by
	// nobody. ServicePorts that did not change keep their pointers.
	State() *state.State
}

// Meter measures nodes.
type Meter interface {
	// Run measures until ctx ends. It calls changed for what cannot wait until
	// the next pass that is due anyhow, such as a node that no longer answers.
	Run(ctx context.Context, changed func()) error
	// Aim tells what there is to measure: the nodes and endpoints of the state
	// that is about to be weighed. It returns at once.
	Aim(*state.State)
	// Measure enters what is known about the nodes into them. They are sorted
	// by name, and the caller's own.
	Measure(nodes []state.Node)
}

// Weigher makes shares of base weights and measurements.
type Weigher interface {
	// Weigh returns the state to be written: gathered with other shares. It gives
	// no ServicePort a new pointer without a reason. before is what was written
	// last, nil at the start. The second result is when to come again though
	// nothing changed; 0 is never.
	Weigh(gathered, before *state.State, now time.Time) (*state.State, time.Duration)
}

// Loop is one watcher. Its fields may be set until Run is called.
type Loop struct {
	Source Source
	Meters []Meter
	// Weigher may be nil: then the shares of the source stay.
	Weigher Weigher
	Store   *state.Store
	// MinInterval is how long a burst of changes must pause to be written, and
	// MaxInterval the longest that it can delay a change.
	MinInterval, MaxInterval time.Duration
	Log                      *slog.Logger
	// Status hears what the loop does; nil hears nothing.
	Status *status.Recorder
	// Kept is called with what the file holds after each pass that left nothing
	// to be written, also if it held that already. It may be nil.
	Kept func(*state.State)

	said  string // the last complaint: each is said once
	retry time.Duration
}

// Run watches until ctx ends. A first state that cannot be written is an error;
// later, the file stays as it was and the write is tried again.
func (l *Loop) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	changes := make(chan struct{}, 1)
	changed := func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	}
	g.Go(unlessDone(ctx, func() error { return l.Source.Run(ctx, changed) }))
	for _, m := range l.Meters {
		g.Go(unlessDone(ctx, func() error { return m.Run(ctx, changed) }))
	}
	g.Go(func() error { return l.keep(ctx, changes) })
	return g.Wait()
}

// unlessDone drops the error of what was told to stop.
func unlessDone(ctx context.Context, f func() error) func() error {
	return func() error {
		if err := f(); ctx.Err() == nil {
			return err
		}
		return nil
	}
}

func (l *Loop) keep(ctx context.Context, changes <-chan struct{}) error {
	p := pace{min: l.MinInterval, max: l.MaxInterval, routine: time.Now()}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
			p.changed(time.Now())
		case <-timer.C:
			wrote, wait, err := l.pass(time.Now())
			if err != nil {
				return err
			}
			if p.isPending() && !wrote { // too soon, perhaps, for what changes no rule
				wait = min(wait, l.Store.Interval)
			}
			p.passed(time.Now(), wrote, wait)
		}
		idle := time.Until(p.due())
		timer.Reset(idle)
		l.Status.Alive(status.Watcher, idle+longestPass)
	}
}

// pass writes what is known now, and says whether it did and when to come again
// at the latest.
func (l *Loop) pass(now time.Time) (wrote bool, wait time.Duration, err error) {
	gathered := l.Source.State()
	l.Status.Took(status.Gather, time.Since(now))
	st, wait := l.weigh(gathered, now)
	if st != nil {
		l.Status.Good(status.FromSource, vouched(gathered, now))
	}
	if st == nil {
		return false, l.Store.Renewal, nil
	}
	before, start := l.Store.Last(), time.Now()
	wrote, err = l.Store.Write(st, now)
	l.Status.Failed(status.Write, err)
	if err != nil && before == nil {
		return false, 0, err
	}
	if l.complain(err) {
		l.retry = min(max(2*l.retry, firstRetry), lastRetry)
		return false, l.retry, nil
	}
	l.retry = 0
	if wrote {
		l.Status.Took(status.Write, time.Since(start))
		l.tell(before, l.Store.Last())
	}
	l.Status.Written(l.Store.Last())
	if l.Kept != nil {
		l.Kept(l.Store.Last())
	}
	// A third of the renewal, so that it is at most a third late.
	return wrote, min(wait, max(l.Store.Renewal/3, time.Millisecond)), nil
}

// weigh measures and weighs what was gathered.
func (l *Loop) weigh(gathered *state.State, now time.Time) (*state.State, time.Duration) {
	wait := l.Store.Renewal
	if gathered == nil {
		return nil, wait
	}
	st := *gathered
	st.Nodes = append([]state.Node(nil), gathered.Nodes...)
	for _, m := range l.Meters {
		m.Aim(gathered)
		m.Measure(st.Nodes)
	}
	if l.Weigher == nil {
		return &st, wait
	}
	start := time.Now()
	weighed, again := l.Weigher.Weigh(&st, l.Store.Last(), now)
	l.Status.Took(status.Weigh, time.Since(start))
	if again > 0 {
		wait = min(wait, again)
	}
	return weighed, wait
}

// vouched is until when the source vouches for a state.
func vouched(gathered *state.State, now time.Time) time.Time {
	if gathered.Written.IsZero() {
		return now
	}
	return gathered.Written
}

// complain logs an error once, and once more when it is over. It reports
// whether there is one.
func (l *Loop) complain(err error) bool {
	switch {
	case err == nil && l.said != "":
		l.Log.Info("state written again")
		l.said = ""
	case err != nil && err.Error() != l.said:
		l.Log.Error("state not written, the file stays as it was", "error", err)
		l.said = err.Error()
	}
	return err != nil
}
