package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"weft/cmd/weft/config"
	"weft/state"
)

func (p *program) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "Write the state file from the source of Services",
		Long: `Gather Services, endpoints and nodes from the source that the configuration
names, and keep the state file up to date. It needs no root and no capability.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := p.newAgent(&varFlags{})
			if err != nil {
				return err
			}
			g, ctx := errgroup.WithContext(cmd.Context())
			a.followConfig(ctx, g)
			g.Go(func() error { return a.watch(ctx) })
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
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := p.newAgent(&vars)
			if err != nil {
				return err
			}
			return a.holding("weft run", func() error { return a.run(cmd.Context()) })
		},
	}
	vars.add(cmd)
	return cmd
}

// run is both halves. The first state is written before the applier starts, so
// that it does not begin with what an earlier run left, or with nothing.
func (a *agent) run(ctx context.Context) error {
	c := a.config.Load()
	a.log.Info("starting", "version", readVersion().Version, "node", c.Node, "config", c.File, "state", c.State)
	store := a.newStore()
	if err := a.write(store); err != nil {
		return err
	}
	g, inner := errgroup.WithContext(ctx)
	a.applier(inner, g)
	a.followConfig(inner, g)
	g.Go(func() error { return a.keep(inner, store) })
	if err := g.Wait(); err != nil {
		return err
	}
	return a.leave(ctx)
}

// newStore goes on with the generation of the file that is there, and renews the
// written time well before the applier would hold the state for too old.
func (a *agent) newStore() *state.Store {
	c := a.config.Load()
	store := state.NewStore(c.State)
	if _, err := store.Load(); err != nil {
		a.log.Warn("state of an earlier run not read, the generation begins anew", "error", err)
	}
	if renewal := time.Duration(c.FailAfter) / 4; renewal > 0 {
		store.Renewal = renewal
	}
	return store
}

// watch writes the state file until the context ends.
func (a *agent) watch(ctx context.Context) error {
	store := a.newStore()
	if err := a.write(store); err != nil {
		return err
	}
	return a.keep(ctx, store)
}

// keep writes the state whenever something changed, and renews its written
// time well before the applier would hold it for too old.
func (a *agent) keep(ctx context.Context, store *state.Store) error {
	renew := time.Duration(a.config.Load().FailAfter) / 3
	if renew == 0 {
		renew = time.Minute
	}
	ticker := time.NewTicker(renew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.gathers:
		case <-ticker.C:
		}
		if err := a.write(store); err != nil {
			a.log.Error("state not written, the file stays as it was", "error", err)
		}
	}
}

func (a *agent) write(store *state.Store) error {
	st, err := gather(a.config.Load())
	if err != nil {
		return usage(err)
	}
	written, err := store.Write(st, time.Now())
	if err != nil {
		return err
	}
	if written {
		a.log.Info("state written", "file", a.config.Load().State, "servicePorts", len(st.ServicePorts))
	}
	return nil
}

// gather makes a state of what the source says now.
func gather(c *config.Config) (*state.State, error) {
	st, err := c.Static.State(c.Node)
	if err != nil {
		return nil, c.Locate("static", err)
	}
	return st, nil
}
