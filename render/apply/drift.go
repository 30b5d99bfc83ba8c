package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"weft/render/flows"
	"weft/render/nft"
	"weft/state"
	"weft/state/status"
)

// listen subscribes to the tables that are to be loaded, before anything is
// read back that a later change could make untrue. What happened before it just
// began to was not heard, so that nothing is known.
func (l *Loop) listen(ctx context.Context) {
	began, err := l.foreign.start(ctx, l.table())
	if l.complain("listen", "changes by others are not heard of", err) {
		l.hearing.again()
	} else {
		l.hearing.over()
	}
	if began {
		l.mirror.prover.Forget()
	}
}

// listenAgain is listen after it failed. What changed unheard is looked for
// whether it works now or not.
func (l *Loop) listenAgain(ctx context.Context) {
	l.listen(ctx)
	l.disturbed(ctx)
}

// A fight with another writer is this many repairs within this time: from then
// on each waits longer than the one before.
const (
	fightRepairs = 5
	fightTime    = 10 * time.Second
)

// repairs are the times of the latest repairs.
type repairs []time.Time

// fight notes a repair and reports whether there were too many of late.
func (r *repairs) fight(now time.Time) bool {
	recent := repairs{now}
	for _, t := range *r {
		if now.Sub(t) < fightTime {
			recent = append(recent, t)
		}
	}
	*r = recent
	return len(recent) > fightRepairs
}

// disturbed looks whether what somebody else did to our tables matters, and
// repairs it.
func (l *Loop) disturbed(ctx context.Context) {
	if err := l.foreign.failure(); err != nil {
		l.complain("listen", "changes by others are not heard of", err)
		l.hearing.again()
	}
	if l.idle() {
		l.foreign.take()
		return // nothing is claimed, so nothing is to be kept
	}
	start := time.Now()
	n, err := l.mirror.follow(ctx)
	if ctx.Err() != nil {
		return
	}
	if err == nil && n.nothing() {
		l.Log.Debug("nothing of ours changed", "after", told(n.others))
		return
	}
	l.judge(ctx, start, told(n.others), n, err)
}

// idle reports whether there is nothing that is to be kept as it is.
func (l *Loop) idle() bool { return l.applied == nil || l.stale || l.blind() }

// judge repairs what others changed. Where everything was read anew, a proof tells
// whether there is anything to repair.
func (l *Loop) judge(ctx context.Context, start time.Time, what string, n news, err error) {
	if err == nil {
		err = l.drifted(n)
	}
	if err == nil && len(l.drift) == 0 {
		l.Status.Took(status.Verify, time.Since(start))
		l.Status.Proven(l.rules(l.applied))
		l.Log.Debug("rules still proven", "after", what)
		return
	}
	if err != nil {
		l.applied, l.drift = nil, nil
	}
	l.tellDrift(what)
	if l.repairs.fight(time.Now()) {
		l.Log.Warn("somebody keeps changing our rules: the repair waits", "change", what, "error", err)
		l.failed()
		return
	}
	l.Log.Warn("rules changed by somebody else, repairing", "change", what, "error", err)
	l.pass(ctx, 0)
}

// drifted takes down what is not as it was proven. An error says that this is not
// known, and that the rules do not do any more what they should.
func (l *Loop) drifted(n news) error {
	switch {
	case n.nameless:
		return errNameless
	case !n.whole:
		l.drift = append(l.drift, n.changes...)
		return nil
	}
	_, err := l.mirror.prove(l.applied)
	return err
}

// errNameless is what others did that no list of chains and sets tells.
var errNameless = errors.New("a table was changed as a whole")

// tellDrift reports that somebody changed our rules.
func (l *Loop) tellDrift(what string) {
	l.Status.Disclaim()
	l.Status.Repaired(what)
}

// saidEvents is how many transactions of others are told one by one.
const saidEvents = 3

// told says what others did.
func told(events []nft.Event) string {
	var said []string
	others := 0
	for _, e := range events {
		if e.Own {
			continue
		}
		if others++; others <= saidEvents {
			said = append(said, e.String())
		}
	}
	if others > saidEvents {
		said = append(said, fmt.Sprintf("and %d more transactions", others-saidEvents))
	}
	if others == 0 {
		return "unheard"
	}
	return strings.Join(said, "; ")
}

// proofs is what is known of the proofs at their interval.
type proofs struct {
	heard uint64 // events at the last one
	easy  int    // how many were made since everything was read
}

// proveAgain proves the rules, and loads them again if they are not what they should be.
// It reads everything if anybody touched the tables since the last time, weft too. Else
// the kernel's generation tells that they are what was proven then: there was no
// transaction that was not heard of. A large table takes half a second to read.
func (l *Loop) proveAgain(ctx context.Context) {
	if l.idle() {
		return // nothing is claimed, so nothing is to be kept
	}
	start, heard, what := time.Now(), l.foreign.soFar(), "proof at its interval"
	if l.proofs.easy++; heard != l.proofs.heard || l.proofs.easy >= wholeProofs {
		l.mirror.prover.Forget()
		l.proofs.easy, what = 0, "whole proof at its interval"
	}
	l.proofs.heard = heard
	n, err := l.mirror.follow(ctx)
	if ctx.Err() == nil {
		l.judge(ctx, start, what, n, err)
	}
}

// endFlows deletes the UDP flows of endpoints that are gone from what is now in
// force. After a failure the next one starts from the same state as this.
func (l *Loop) endFlows(ctx context.Context, now *state.State) {
	stale := flows.Stale(l.flowed, now)
	if len(stale) > 0 {
		deleted, err := flows.Delete(ctx, stale)
		if l.complain("flows", "stale UDP flows not deleted", err) {
			return
		}
		l.Log.Info("stale UDP flows deleted", "flows", deleted)
	}
	l.flowed = now
}
