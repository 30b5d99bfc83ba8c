package apply

import (
	"context"
	"fmt"
	"strings"
	"time"

	"weft/render/flows"
	"weft/render/nft"
	"weft/state"
	"weft/state/status"
)

// listen subscribes to the tables that are to be loaded, before anything is
// read back that a later change could make untrue. It reports whether it just
// began to: what happened before was not heard.
func (l *Loop) listen(ctx context.Context) (began bool) {
	began, err := l.foreign.start(ctx, l.table())
	if l.complain("listen", "changes by others are not heard of", err) {
		l.hearing.again()
	} else {
		l.hearing.over()
	}
	return began
}

// listenAgain is listen after it failed, with a proof of everything that may have
// been changed unheard.
func (l *Loop) listenAgain(ctx context.Context) {
	if l.listen(ctx) {
		l.look(ctx, "listening again")
	}
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
	if what := told(l.foreign.take()); what != "" {
		l.look(ctx, what)
	}
	if err := l.foreign.failure(); err != nil {
		l.complain("listen", "changes by others are not heard of", err)
		l.hearing.again()
	}
}

// saidEvents is how many transactions of others are told one by one.
const saidEvents = 3

// told says what others did; empty if it was all our own.
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
	return strings.Join(said, "; ")
}

// look proves what the kernel holds, and loads it again if it is not what it
// should be.
func (l *Loop) look(ctx context.Context, reason string) {
	if l.applied == nil || l.stale || l.blind() {
		return // nothing is claimed, so nothing is to be kept
	}
	start := time.Now()
	err := l.applied.Prove(ctx)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		l.Status.Took(status.Verify, time.Since(start))
		l.Status.Proven(l.rules(l.applied))
		l.Log.Debug("rules still proven", "after", reason)
		return
	}
	l.Status.Disclaim()
	l.Status.Repaired(reason)
	if l.repairs.fight(time.Now()) {
		l.Log.Warn("somebody keeps changing our rules: the repair waits", "change", reason, "error", err)
		l.failed()
		return
	}
	l.Log.Warn("rules changed by somebody else, repairing", "change", reason, "error", err)
	l.pass(ctx, Everything)
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
