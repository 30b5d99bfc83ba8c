package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"weft/state"
	"weft/state/status"
	"weft/state/watch"
)

func (p *program) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "Write the state file from the source of Services",
		Long: `Gather Services, endpoints and nodes from the source that the configuration
names, and keep the state file up to date. It needs no root and no capability.`,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := p.newAgent(&varFlags{}, "weft watch", status.Watcher)
			if err != nil {
				return err
			}
			a.started()
			g, ctx := errgroup.WithContext(cmd.Context())
			if err := a.serve(ctx, g); err != nil {
				return err
			}
			a.followConfig(ctx, g)
			g.Go(func() error { return a.watch(ctx, a.newStore(), nil) })
			return g.Wait()
		},
	}
}

func (p *program) runCommand() *cobra.Command {
	var vars varFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Watch and apply in one process",
		Long: `Write the state file and keep the kernel's rules as it asks: watch and apply
--follow in one process, which still speak through the file. SIGHUP reads
everything again. SIGTERM stops; the rules stay until the heartbeat ends, or go
at once with --cleanup-on-exit.`,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := p.newAgent(&vars, "weft run", status.Watcher, status.Applier)
			if err != nil {
				return err
			}
			return a.holding("weft run", func() error { return a.run(cmd.Context()) })
		},
	}
	vars.add(cmd)
	return cmd
}

// patience is how long the first state may take before the applier goes on with
// what an earlier run left.
const patience = 5 * time.Second

// run is both halves. The applier starts when the file holds what is known, so
// that it begins with what is. Where nothing is known for a while, as when the API
// server is away, it goes on with what an earlier run left.
func (a *agent) run(ctx context.Context) error {
	a.started()
	store := a.newStore()
	first := make(chan struct{})
	begin := sync.OnceFunc(func() { close(first) })
	if a.isUsable(store.Last()) {
		defer time.AfterFunc(patience, begin).Stop()
	}
	g, inner := errgroup.WithContext(ctx)
	if err := a.serve(inner, g); err != nil {
		return err
	}
	a.held = store.Held
	g.Go(func() error { return a.watch(inner, store, func(*state.State) { begin() }) })
	g.Go(func() error {
		if a.awaits(inner, first) {
			a.applier(inner, g)
		}
		return nil
	})
	a.followConfig(inner, g)
	if err := g.Wait(); err != nil {
		return err
	}
	return a.leave(ctx)
}

// waiting is how often an applier that waits for its first state says that it lives,
// and firstPass how long it may then be silent, its first pass included.
const (
	waiting   = 10 * time.Second
	firstPass = 2 * time.Minute
)

// awaits waits until the applier may begin, which with an API server that is away
// can take hours: who waits does not hang. It is false if the context ended before.
func (a *agent) awaits(ctx context.Context, first <-chan struct{}) bool {
	for {
		a.status.Alive(status.Applier, firstPass)
		select {
		case <-first:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(waiting):
		}
	}
}

// isUsable says whether an earlier run's state is this node's and young enough.
func (a *agent) isUsable(st *state.State) bool {
	c := a.config.Load()
	return st != nil && st.Node == c.Node && (c.FailAfter == 0 || st.Written.IsZero() || time.Since(st.Written) < time.Duration(c.FailAfter))
}

// watch writes the state file until the context ends.
func (a *agent) watch(ctx context.Context, store *state.Store, kept func(*state.State)) error {
	source, err := a.source()
	if err != nil {
		return usage(err)
	}
	meters, err := a.meters()
	if err != nil {
		return usage(err)
	}
	c := a.config.Load()
	if a.observer != nil {
		meters = append(meters, a.observer)
	}
	loop := &watch.Loop{
		Source: source, Meters: meters, Weigher: a.newWeigher(), Store: store, Log: a.part("watch"), Status: a.status, Kept: kept,
		MinInterval: time.Duration(c.MinInterval), MaxInterval: time.Duration(c.MaxInterval),
	}
	return loop.Run(ctx)
}

// newStore goes on with the generation of the file that is there, and renews the
// written time well before the applier would hold the state for too old.
func (a *agent) newStore() *state.Store {
	c := a.config.Load()
	store := state.NewStore(c.State)
	if _, err := store.Load(); err != nil {
		a.part("watch").Warn("state of an earlier run not read, the generation begins anew", "error", err)
	}
	if renewal := time.Duration(c.FailAfter) / 4; renewal > 0 {
		store.Renewal = renewal
	}
	return store
}
