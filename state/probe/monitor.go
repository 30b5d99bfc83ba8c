package probe

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/state"
)

// maxInFlight is how many rounds are under way at most.
const maxInFlight = 16

// retry is how soon the round after one comes that casts doubt on a node: a node that
// is gone costs connections until it is known. Since doubt ends after two more rounds,
// it costs no more than those.
const retry = time.Second

// Monitor keeps an estimate of each node that matters. It is a meter of the watcher:
// Aim says what there is to probe, Run probes it, and Measure tells what is known.
// Make it by [New].
type Monitor struct {
	prober   Prober
	peer     *Peer // nil where agents do not ask each other
	smooth   bool  // the values hold queues; see [Estimate]
	atOnce   int   // how many nodes may be due at the same time; see [atOnce]
	interval time.Duration
	log      *slog.Logger

	mu    sync.Mutex
	aimed *state.State // of which the targets were made
	nodes map[string]*record
	meets meeting       // to which the next nodes may come
	wake  chan struct{} // something is due that was not
}

// record is what is known about a node. The monitor's lock guards it.
type record struct {
	target   Target
	estimate Estimate
	source   string // of the estimate
	cpu      *state.CPU
	cores    int
	due      time.Time // the next round
	turn     time.Time // the next round that no doubt called for
	running  bool
	failed   uint64
	err      error // why the last round failed
}

// Aim makes the nodes that matter in st the targets; see [Targets]. A new one is
// probed at once. A node that keeps its address keeps its estimate.
func (m *Monitor) Aim(st *state.State) {
	if m.peer != nil {
		m.peer.Know(st.Node, st.Nodes)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.aimed != nil && haveSameTargets(m.aimed, st) {
		return
	}
	m.aimed = st
	targets := Targets(st)
	nodes := make(map[string]*record, len(targets))
	for _, t := range targets {
		r := m.nodes[t.Node]
		if r == nil || r.target.Address != t.Address {
			r = &record{estimate: Estimate{Smooth: m.smooth}}
			poke(m.wake)
		}
		r.target = t
		nodes[t.Node] = r
	}
	m.nodes = nodes
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run probes until the context ends. It calls changed when a node was measured for
// the first time, stopped to answer, or answers again.
func (m *Monitor) Run(ctx context.Context, changed func()) error {
	g, ctx := errgroup.WithContext(ctx)
	if m.peer != nil {
		g.Go(func() error { return m.peer.Run(ctx) })
	}
	g.Go(func() error { return m.schedule(ctx, changed) })
	return g.Wait()
}

// schedule makes rounds as they are due, and ends with the last of them.
func (m *Monitor) schedule(ctx context.Context, changed func()) error {
	var rounds errgroup.Group
	rounds.SetLimit(maxInFlight)
	for ctx.Err() == nil {
		r, wait := m.next(time.Now())
		if r == nil {
			m.pause(ctx, wait)
			continue
		}
		rounds.Go(func() error {
			defer poke(m.wake)
			if m.round(ctx, r) {
				changed()
			}
			return nil
		})
	}
	return errors.Join(rounds.Wait(), ctx.Err())
}

// next takes the node that is due for longest, or says how long none is.
func (m *Monitor) next(now time.Time) (r *record, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, candidate := range m.nodes {
		if !candidate.running && (r == nil || candidate.due.Before(r.due)) {
			r = candidate
		}
	}
	switch {
	case r == nil:
		return nil, time.Hour
	case r.due.After(now):
		return nil, r.due.Sub(now)
	}
	r.running = true
	if !r.turn.After(now) {
		r.turn = m.after(r, now)
	}
	r.due = r.turn
	return r, 0
}

// after is when the turn after one at now comes: an interval later, give or take
// a tenth, so that agents that started together part. After its first round,
// which came at once, a node comes at any time within the interval.
func (m *Monitor) after(r *record, now time.Time) time.Time {
	interval := m.spacing()
	due, first, last := now.Add(jitter(interval)), now.Add(interval*9/10), now.Add(interval*11/10)
	if r.turn.IsZero() {
		due, first = now.Add(time.Duration(rand.Float64()*float64(interval))), now
	}
	return m.together(due, first, last)
}

// atOnce is how many nodes are probed at the same time, if they are due about then: to
// wake up costs an idle agent more than a probe. Where the agent takes the time itself,
// more than fewAtOnce would wait for each other.
const atOnce, fewAtOnce = 16, 4

// meeting is a time at which nodes are due together.
type meeting struct {
	at    time.Time
	nodes int
}

// together is the time at which the node before is due, if that is between first and
// last and not too many are yet; else it is due itself, for the next ones to come to.
func (m *Monitor) together(due, first, last time.Time) time.Time {
	if m.meets.nodes >= m.atOnce || m.meets.at.Before(first) || m.meets.at.After(last) {
		m.meets = meeting{at: due}
	}
	m.meets.nodes++
	return m.meets.at
}

// jitter makes a time up to a tenth longer or shorter.
func jitter(d time.Duration) time.Duration {
	return time.Duration((0.9 + 0.2*rand.Float64()) * float64(d))
}

// spacing is the time between two rounds of a node.
func (m *Monitor) spacing() time.Duration { return Interval(m.interval, len(m.nodes)) }

// pause waits until something may be due.
func (m *Monitor) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-m.wake:
	case <-timer.C:
	}
}

// round probes a node, and reports whether something about it is new that the
// weights should not wait for.
func (m *Monitor) round(ctx context.Context, r *record) bool {
	m.mu.Lock()
	target := r.target
	target.Usual = r.estimate.Usual()
	m.mu.Unlock()
	round, err := m.prober.Round(ctx, target)
	if ctx.Err() != nil {
		return false // a round that was cut off tells nothing
	}
	before, after := m.enter(r, round, err)
	was, is := before.Unreachable(), after.Unreachable()
	switch {
	case was.IsZero() && !is.IsZero():
		m.log.Warn("node does not answer", "node", target.Node, "address", target.Address, "error", err)
	case !was.IsZero() && is.IsZero():
		m.log.Info("node answers again", "node", target.Node, "address", target.Address)
	}
	return was.IsZero() != is.IsZero() || after.rounds == 1 && before.rounds != 1
}

// enter takes a round into the record, and returns its estimates before and after.
func (m *Monitor) enter(r *record, round Round, err error) (before, after Estimate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.running = false
	before = r.estimate
	now := time.Now()
	r.take(now, round, err, m.spacing())
	if soon := now.Add(jitter(retry)); r.estimate.InDoubt() && soon.Before(r.due) {
		r.due = soon
	}
	return before, r.estimate
}

func (r *record) take(now time.Time, round Round, err error, interval time.Duration) {
	r.err = err
	switch {
	case errors.Is(err, ErrNothingToProbe):
		return
	case err != nil:
		r.failed++
		r.estimate.Failed(now)
		return
	}
	if round.Source != r.source {
		r.source = round.Source
		r.estimate.Restart()
	}
	r.estimate.Good(now, round.Value, interval)
	if round.CPU != nil {
		r.cores = round.Cores
		r.cpu = newer(r.cpu, round.CPU)
	}
}

// newer is the second sample, unless it is the first one heard of again: its time
// is reckoned from its age, so it is never quite the same.
func newer(a, b *state.CPU) *state.CPU {
	if a != nil && a.Ratio == b.Ratio && b.Measured.Sub(a.Measured).Abs() < 500*time.Millisecond {
		return a
	}
	return b
}
