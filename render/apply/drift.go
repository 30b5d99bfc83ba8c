package apply

import (
	"context"
	"errors"
	"sync"
	"time"

	"weft/render/flows"
	"weft/render/nft"
	"weft/state"
	"weft/state/status"
)

// listener hears what others do to the tables with one name. Its goroutine only
// reads; what to do is the loop's to decide.
type listener struct {
	own    *nft.Own
	table  string
	events chan nft.Event
	stop   func()
	done   sync.WaitGroup
	sub    *nft.Subscription
	failed error
}

func newListener(own *nft.Own) *listener {
	return &listener{own: own, events: make(chan nft.Event), stop: func() {}}
}

// listen subscribes to the tables that are to be loaded, before anything is
// read back that a later change could make untrue.
func (l *Loop) listen(ctx context.Context) error { return l.foreign.start(ctx, l.table()) }

func (li *listener) start(ctx context.Context, table string) error {
	if li.sub != nil && li.table == table {
		return nil
	}
	if err := li.close(); err != nil {
		return err
	}
	sub, err := nft.Subscribe(table, li.own)
	if err != nil {
		return err
	}
	li.sub, li.table = sub, table
	ctx, li.stop = context.WithCancel(ctx)
	li.done.Go(func() {
		li.failed = sub.Run(ctx, func(e nft.Event) {
			if e.Own || e.Expired && !e.Lost {
				return
			}
			select {
			case li.events <- e:
			case <-ctx.Done():
			}
		})
	})
	return nil
}

// close ends the goroutine and returns what it could not read.
func (li *listener) close() error {
	if li.sub == nil {
		return nil
	}
	li.stop()
	li.done.Wait()
	err := errors.Join(li.failed, li.sub.Close())
	li.sub, li.failed = nil, nil
	return err
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
func (l *Loop) disturbed(ctx context.Context, event nft.Event) { l.look(ctx, event.String()) }

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
