package main

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"weft/state/status"
	"weft/state/traffic"
)

// newObserver counts connections for the guard, which is the watcher's, and for
// those who look at the applier.
func (a *agent) newObserver(parts []status.Part) *traffic.Observer {
	c := a.config.Load()
	guards := c.Weight.Guard && slices.Contains(parts, status.Watcher)
	shows := c.Traffic && slices.Contains(parts, status.Applier)
	if !guards && !shows {
		return nil
	}
	return traffic.New(a.part("traffic"))
}

// count adds to the group what holds the connections that arrived against the
// shares. Where there is a watcher beside the applier, that runs the observer.
func (a *agent) count(ctx context.Context, g *errgroup.Group) {
	if a.observer == nil || !a.config.Load().Traffic {
		return
	}
	alone := !slices.Contains(a.status.Status().Agent.Parts, status.Watcher)
	var news <-chan struct{}
	if alone {
		news = a.status.News()
	}
	ledger := traffic.NewLedger(a.observer, a.status.State, news)
	a.status.Counting(ledger.Traffic)
	g.Go(func() error { return ledger.Run(ctx) })
	if alone {
		g.Go(func() error {
			if err := a.observer.Run(ctx, func() {}); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		})
	}
}
