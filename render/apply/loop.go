package apply

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"weft/render"
	"weft/render/nft"
	"weft/state"
)

// The wait before a transaction that failed is tried again: it doubles from
// the first to the last.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Loop keeps the kernel as a state file asks. One goroutine runs it.
type Loop struct {
	// StateFile is the path of the state file.
	StateFile string
	// Templates loads the template set and the vars, from what the
	// configuration says now.
	Templates func() (*render.Set, render.Vars, error)
	// FailAfter is the age of the state beyond which weft lets go; 0 is never.
	// Age is time since the file's written field last changed, by this
	// process's own clock: a clock that is set has no say.
	FailAfter time.Duration
	Runner    nft.Runner
	Log       *slog.Logger

	// Changed is called after each pass that changed the kernel, when what was
	// loaded is proven. It may be nil.
	Changed func(*Desired)

	decoder state.Decoder
	st      *state.State
	fresh   time.Time // when st.Written last changed
	newest  candidate
	good    candidate // the last that the kernel took
	applied *Desired
	said    map[string]string // the last complaint of each stage: each is said once
	retry   time.Duration
	stale   bool      // the state is too old
	failing time.Time // since when nothing that is wanted could be proven; zero if it is
}

// candidate is a template set with the vars to render it with.
type candidate struct {
	set  *render.Set
	vars render.Vars
}

// Change says which inputs may have changed.
type Change int

// The inputs. Everything is also a demand to load the rules even if they are
// the same as before.
const (
	StateChanged Change = 1 << iota
	TemplatesChanged
	Everything = StateChanged | TemplatesChanged | 1<<7
)

// Run makes a pass for each change that arrives, retries what failed and
// renews the heartbeat, until the context ends. The first pass is made at once.
// What it leaves in the kernel is the caller's to decide.
func (l *Loop) Run(ctx context.Context, changes <-chan Change) error {
	l.said = map[string]string{}
	beats := time.NewTimer(time.Hour)
	retries := time.NewTimer(time.Hour)
	retries.Stop()
	defer beats.Stop()
	defer retries.Stop()
	l.pass(ctx, Everything, beats, retries)
	for {
		select {
		case <-ctx.Done():
			return nil
		case change := <-changes:
			l.pass(ctx, change, beats, retries)
		case <-retries.C:
			l.pass(ctx, Everything, beats, retries)
		case <-beats.C:
			l.beat(ctx, beats, retries)
		}
	}
}

// pass brings the kernel to what the inputs ask for now.
func (l *Loop) pass(ctx context.Context, change Change, beats, retries *time.Timer) {
	if change&StateChanged != 0 {
		l.readState()
	}
	if change&TemplatesChanged != 0 {
		l.readTemplates()
	}
	wasStale := l.stale
	if l.st == nil || l.newest.set == nil || l.letGo() {
		l.schedule(beats)
		return
	}
	if err := l.bring(ctx, change == Everything || wasStale); err != nil {
		if l.failing.IsZero() {
			l.failing = time.Now()
		}
		l.later(retries)
	} else {
		l.failing, l.retry = time.Time{}, 0
		retries.Stop()
	}
	l.schedule(beats)
}

func (l *Loop) readState() {
	data, err := os.ReadFile(l.StateFile)
	var st *state.State
	if err == nil {
		st, err = l.decoder.Decode(l.StateFile, data)
	}
	if l.complain("state", "state file refused, the last good one stays in force", err) {
		return
	}
	if l.st == nil || !st.Written.Equal(l.st.Written) || st.Written.IsZero() {
		l.fresh = time.Now()
	}
	l.st = st
}

func (l *Loop) readTemplates() {
	set, vars, err := l.Templates()
	if !l.complain("templates", "templates refused, the last good ones stay in force", err) {
		l.newest = candidate{set, vars}
	}
}

// bring loads what the newest templates make of the state, or, when they are
// at fault, what the last good ones make of it.
func (l *Loop) bring(ctx context.Context, force bool) error {
	err := l.try(ctx, l.newest, force)
	if ctx.Err() != nil {
		return nil // told to stop: what failed for that is no failure
	}
	broken := l.complain("apply", "rules not loaded", err)
	if !broken {
		l.good = l.newest
		return nil
	}
	if l.good.set == nil || l.good.set == l.newest.set || !templatesAtFault(err) {
		return err
	}
	return l.try(ctx, l.good, false)
}

// templatesAtFault says whether other templates could do better: it was not
// nft that could not be run.
func templatesAtFault(err error) bool {
	var failed *render.Error
	var refused *Refusal
	var unproven *Unproven
	return errors.As(err, &failed) || errors.As(err, &refused) || errors.As(err, &unproven)
}

func (l *Loop) try(ctx context.Context, c candidate, force bool) error {
	start := time.Now()
	desired, err := Desire(ctx, c.set, l.st, c.vars)
	if err != nil {
		return err
	}
	l.reportLeftOut(desired)
	if !force && l.applied != nil && desired.Text == l.applied.Text && desired.Table == l.applied.Table {
		return nil
	}
	if l.doubtful(c) {
		if err := desired.Rehearse(ctx, l.Runner); err != nil {
			return err
		}
	}
	rendered := time.Now()
	if err := desired.Load(ctx, l.Runner); err != nil {
		return err
	}
	before := l.applied
	l.applied = nil // what the kernel holds now is not known until it is proven
	if before != nil && before.Table != desired.Table {
		if err := Remove(ctx, l.Runner, before.Table); err != nil {
			return err
		}
	}
	loaded := time.Now()
	if err := desired.Prove(ctx); err != nil {
		return err
	}
	l.applied = desired
	l.Log.Info("rules proven", "generation", l.st.Generation, "set", desired.Set,
		"render", rendered.Sub(start), "load", loaded.Sub(rendered), "verify", time.Since(loaded))
	if l.Changed != nil {
		l.Changed(desired)
	}
	return nil
}

// doubtful says whether the templates should be tried elsewhere first: those
// that somebody wrote or changed, and whatever just failed. The shipped sets
// are not, so that a start costs one load.
func (l *Loop) doubtful(c candidate) bool {
	if !l.failing.IsZero() {
		return true
	}
	return c.set != l.good.set && (l.good.set != nil || !c.set.Shipped())
}

func (l *Loop) reportLeftOut(desired *Desired) {
	for _, left := range desired.LeftOut {
		l.complain("left out "+left.ServicePort.ID(), "ServicePort left to kube-proxy, its template failed", left.Err)
	}
}

// letGo reports whether the state is too old to vouch for. The heartbeat is
// then no longer renewed, so that kube-proxy takes over when it ends.
func (l *Loop) letGo() bool {
	old := l.FailAfter > 0 && !l.st.Written.IsZero() && time.Since(l.fresh) > l.FailAfter
	if old && !l.stale {
		l.Log.Error("state too old, letting go: kube-proxy takes over when the heartbeat ends", "failAfter", l.FailAfter)
	}
	l.stale = old
	return old
}

// blind reports whether what is wanted could not be proven for so long that
// what the kernel holds should end.
func (l *Loop) blind() bool {
	return l.FailAfter > 0 && !l.failing.IsZero() && time.Since(l.failing) > l.FailAfter
}

// beat renews the heartbeat. When that fails, somebody may have taken the table
// away, so everything is loaded again.
func (l *Loop) beat(ctx context.Context, beats, retries *time.Timer) {
	if l.good.set == nil || l.letGo() || l.blind() {
		l.schedule(beats)
		return
	}
	err := Beat(ctx, l.Runner, l.st, l.good.vars)
	if l.complain("heartbeat", "heartbeat not renewed, loading the rules again", err) && ctx.Err() == nil {
		l.pass(ctx, Everything, beats, retries)
		return
	}
	l.schedule(beats)
}

// schedule sets the time of the next heartbeat.
func (l *Loop) schedule(beats *time.Timer) {
	if timeout := l.good.vars.Heartbeat(); timeout > 0 {
		beats.Reset(timeout / Renewals)
		return
	}
	beats.Reset(time.Minute)
}

// later sets the time of the next try after a failure.
func (l *Loop) later(retries *time.Timer) {
	l.retry = min(max(2*l.retry, firstRetry), lastRetry)
	retries.Reset(l.retry)
}

// complain logs a stage's error once: not again while it is the same, and once
// more when it is over. It reports whether there is one.
func (l *Loop) complain(stage, message string, err error) bool {
	if err == nil {
		if _, ok := l.said[stage]; ok {
			delete(l.said, stage)
			l.Log.Info("good again", "stage", stage)
		}
		return false
	}
	if l.said[stage] != err.Error() {
		l.said[stage] = err.Error()
		l.Log.Error(message, "error", err)
	}
	return true
}
