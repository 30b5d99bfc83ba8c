package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"weft/render"
	"weft/render/history"
	"weft/render/nft"
	"weft/render/verify"
	"weft/state"
	"weft/state/fingerprint"
	"weft/state/status"
)

// proofInterval is the time between two proofs without any reason, of which every
// wholeProofs-th reads everything though nobody touched the tables: what no notification
// told would be found then.
const (
	proofInterval = 5 * time.Minute
	wholeProofs   = 12
)

// longestTurn is how long the loop may be at work without being held for hung,
// unless Loop.turn says otherwise. The largest ruleset takes seconds.
const longestTurn = 2 * time.Minute

// Loop keeps the kernel as a state file asks. One goroutine runs it: sockets
// and nft belong to the network namespace of its thread.
type Loop struct {
	// StateFile is the path of the state file.
	StateFile string
	// Written is what the writer of the state file wrote last, where it is in the same
	// process: it is taken from there, and of what is equal only one is kept. It may be
	// nil.
	Written func() *state.Held
	// Templates loads the template set and the vars, from what the
	// configuration says now.
	Templates func() (*render.Set, render.Vars, error)
	// FailAfter is the age of the state beyond which weft lets go; 0 is never.
	// Age is time since the file's written field last changed, by this
	// process's own clock: a clock that is set has no say.
	FailAfter time.Duration
	Runner    nft.Runner
	Log       *slog.Logger
	// Status hears what the loop does; nil hears nothing.
	Status *status.Recorder

	// Keep takes the history's entry of each transaction that was tried, but for
	// one that fails again as it did before. It may be nil.
	Keep func(history.Entry)
	// Before is what an earlier run proved last, or nil. If the kernel still does
	// what it did and the same is wanted, a start loads nothing; and endpoints
	// that left since then may have stale UDP flows.
	Before *Desired
	// Pinned is the ruleset that somebody wants whatever the state and the
	// templates say, or nil. It may be nil itself.
	Pinned func() (*Desired, error)

	inputs
	applied *Desired          // what the kernel holds, proven, but for drift; nil if that is not known
	drift   []verify.Change   // what others made of it since
	flowed  *state.State      // whose UDP flows there may be
	said    map[string]string // the last complaint of each stage: each is said once
	failing time.Time         // since when nothing that is wanted could be proven; zero if it is
	repairs repairs
	proofs  proofs

	turn      time.Duration                         // zero is [longestTurn]
	interlude time.Duration                         // zero is [proofInterval]
	subscribe subscriber                            // nil is the kernel's
	rehearse  func(context.Context, *Desired) error // nil is [Desired.Rehearse]
	wrong     wrong
	own       nft.Own
	heart     *nft.Heart
	beaten    time.Time // when the heartbeat was renewed last
	foreign   *listener
	mirror    *mirror
	beats     *time.Timer
	spares    *time.Timer // for how long room for a state file is kept
	retries   *backoff    // of what could not be brought to the kernel
	hearing   *backoff    // of listening
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

// Run makes a pass for each change that arrives, retries what failed, repairs
// what others changed and renews the heartbeat, until the context ends. The
// first pass is made at once. What it leaves in the kernel is the caller's to
// decide.
func (l *Loop) Run(ctx context.Context, changes <-chan Change) error {
	if err := l.open(); err != nil {
		return err
	}
	defer l.close()
	if l.Written != nil {
		l.decoder.Known = l.known
	}
	proofs := time.NewTicker(cmp.Or(l.interlude, proofInterval))
	defer proofs.Stop()
	l.pass(ctx, StateChanged|TemplatesChanged)
	for {
		l.Status.Alive(status.Applier, l.interval()+cmp.Or(l.turn, longestTurn))
		select {
		case <-ctx.Done():
			return nil
		case change := <-changes:
			l.pass(ctx, change)
		case <-l.foreign.news:
			l.disturbed(ctx)
		case <-l.hearing.C:
			l.listenAgain(ctx)
		case <-proofs.C:
			l.proveAgain(ctx)
		case <-l.retries.C:
			l.pass(ctx, Everything)
		case <-l.beats.C:
			l.beat(ctx)
		case <-l.spares.C:
			l.room.letGo()
		}
	}
}

func (l *Loop) open() error {
	heart, err := nft.OpenHeart(&l.own)
	if err != nil {
		return fmt.Errorf("open the heartbeat: %w", err)
	}
	l.heart, l.foreign, l.said = heart, newListener(&l.own, l.subscribe), map[string]string{}
	l.Runner.Own = &l.own
	if l.Before != nil {
		l.flowed = l.Before.State
	}
	l.beats, l.retries, l.hearing = time.NewTimer(time.Hour), newBackoff(), newBackoff()
	l.beats.Stop()
	l.spares = time.NewTimer(time.Hour)
	return nil
}

func (l *Loop) close() {
	l.beats.Stop()
	l.spares.Stop()
	l.room.letGo()
	l.retries.over()
	l.hearing.over()
	if err := errors.Join(l.foreign.close(), l.mirror.close(), l.heart.Close()); err != nil {
		l.Log.Warn("netlink sockets not closed", "error", err)
	}
}

// pass brings the kernel to what the inputs ask for now.
func (l *Loop) pass(ctx context.Context, change Change) {
	wasStale := l.stale
	defer l.spares.Reset(spareTime)
	defer l.read(change)()
	if l.Pinned != nil && !l.pinKnown {
		l.failed()
		l.schedule()
		return
	}
	if l.pinned == nil && (!l.ready() || l.letGo()) {
		l.schedule()
		return
	}
	if l.complain("observe", "the kernel's rules cannot be read", l.observe(ctx)) {
		l.failed()
		l.schedule()
		return
	}
	if err := l.bring(ctx, change == Everything || wasStale); err != nil {
		l.failed()
	} else {
		l.failing = time.Time{}
		l.retries.over()
	}
	l.schedule()
}

// failed sets the time of the next try.
func (l *Loop) failed() {
	if l.failing.IsZero() {
		l.failing = time.Now()
	}
	l.retries.again()
}

// bring loads what the newest templates make of the state, or, when they are
// at fault, what the last good ones make of it.
func (l *Loop) bring(ctx context.Context, force bool) error {
	if l.pinned != nil {
		return l.bringPinned(ctx, force)
	}
	err := l.try(ctx, l.newest, force)
	if ctx.Err() != nil {
		return nil // told to stop: what failed for that is no failure
	}
	if broken := l.complain("apply", "rules not loaded", err); !broken {
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

// try renders and loads, and notes how that ended.
func (l *Loop) try(ctx context.Context, c candidate, force bool) error {
	desired, err := l.desire(ctx, c)
	if err == nil {
		err = l.catchUp(ctx)
	}
	if err == nil {
		if !force && l.holds(ctx, desired) {
			return l.confirm(ctx, desired)
		}
		err = l.load(ctx, c, desired, force)
	}
	if ctx.Err() == nil {
		l.keep(desired, l.stateText, err)
	}
	return err
}

// desire is what the templates make of the state.
func (l *Loop) desire(ctx context.Context, c candidate) (*Desired, error) {
	start := time.Now()
	desired, err := c.composer.Desire(ctx, l.st, c.vars)
	if err != nil {
		return nil, err
	}
	l.Status.Took(status.Render, time.Since(start))
	l.tellLeftOut(desired.LeftOut)
	return desired, nil
}

// tellLeftOut says which ServicePorts are left out, and which are no longer.
func (l *Loop) tellLeftOut(list []render.LeftOut) {
	const stage = "left out "
	now := map[string]bool{}
	for _, left := range list {
		now[stage+left.ServicePort.ID()] = true
		l.complain(stage+left.ServicePort.ID(), "ServicePort left to kube-proxy", left.Err)
	}
	for said := range l.said {
		if strings.HasPrefix(said, stage) && !now[said] {
			l.complain(said, "", nil)
		}
	}
}

// keep notes in the history how a transaction ended. text gives that of the state and
// its parts, if there is something to note.
func (l *Loop) keep(desired *Desired, text func() ([]byte, *fingerprint.Cut), err error) {
	if l.Keep == nil || err != nil && l.said["apply"] == err.Error() {
		return
	}
	whole, cut := text()
	if e, ok := Record(desired, whole, err); ok {
		e.Cut = cut
		l.Keep(e)
	}
}

// doubtful says whether the templates should be tried elsewhere first: those
// that somebody wrote or changed, and whatever just failed. The shipped sets
// are not, so that a start costs one load.
func (l *Loop) doubtful(c candidate) bool {
	if !l.failing.IsZero() {
		return true
	}
	if l.pinned != nil {
		return false // it was proven before it could be pinned
	}
	return c.set != l.good.set && (l.good.set != nil || !c.set.Shipped())
}

// complain logs a stage's error once: not again while it is the same, and once
// more when it is over. It reports whether there is one.
func (l *Loop) complain(stage, message string, err error) bool {
	l.report(stage, err)
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
