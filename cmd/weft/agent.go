package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/cmd/weft/config"
	"weft/render"
	"weft/render/apply"
	"weft/render/history"
	"weft/render/nft"
	"weft/state"
	"weft/state/follow"
	"weft/state/status"
	"weft/state/traffic"
	"weft/templates"
)

// agent is what runs until it is told to stop: the watcher, the applier, or
// both. Its goroutines talk through two channels that hold one notice each, so
// that a burst of changes is one pass.
type agent struct {
	program *program
	vars    *varFlags
	log     *slog.Logger
	// status is what others may know of it.
	status *status.Recorder
	// config is the last that was good.
	config atomic.Pointer[config.Config]
	// changes asks the applier for a pass, gathers the watcher for a state.
	changes chan apply.Change
	gathers chan struct{}
	// observer counts connections; nil if nobody wants to know.
	observer *traffic.Observer
	// paths tells the follower of the templates that others are to be followed.
	paths chan struct{}
	calm  *calm
	// held is what the watcher wrote last; nil without a watcher.
	held func() *state.Held
}

func (p *program) newAgent(vars *varFlags, command string, parts ...status.Part) (*agent, error) {
	in, err := p.inputs(vars)
	if err != nil {
		return nil, err
	}
	slacken()
	recorder := status.New(in.config.Node, command, readVersion().Version, parts...)
	recorder.Good(status.FromConfig, time.Now())
	a := &agent{
		program: p, vars: vars, status: recorder, log: slog.New(recorder.Handler(p.logger(in.config).Handler())),
		changes: make(chan apply.Change, 1), gathers: make(chan struct{}, 1), paths: make(chan struct{}, 1), calm: newCalm(),
	}
	a.config.Store(in.config)
	a.observer = a.newObserver(parts)
	return a, nil
}

// part is the log of one part of the way from the source to the kernel.
func (a *agent) part(name string) *slog.Logger { return a.log.With(status.ComponentKey, name) }

// started says who runs, with what.
func (a *agent) started() {
	c, v := a.config.Load(), readVersion()
	a.part("agent").Info("starting", "command", a.status.Status().Agent.Command, "version", v.Version, "node", c.Node, "config", c.File, "state", c.State)
}

// holding runs f with the lock of the applier, which two agents that would
// write the same rules cannot both have.
func (a *agent) holding(command string, f func() error) error {
	c := a.config.Load()
	_, vars, err := a.vars.load(c)
	if err != nil {
		return err
	}
	return a.program.holding(c, vars.Table(), command, f)
}

// applier adds what follows the state file and loads rules to the group.
func (a *agent) applier(ctx context.Context, g *errgroup.Group) {
	collect(hasty)
	c := a.config.Load()
	loop := &apply.Loop{
		StateFile: c.State, Written: a.held, FailAfter: time.Duration(c.FailAfter), Runner: nft.Runner{Path: c.Nft}.Found(), Log: a.part("apply"), Status: a.status,
		Templates: func() (*render.Set, render.Vars, error) { return a.vars.load(a.config.Load()) },
		Keep:      a.recorder(openHistory(c)),
		Pinned:    a.pinned,
		Before:    lastProven(openHistory(c)),
	}
	g.Go(func() error { return loop.Run(ctx, a.changes) })
	a.count(ctx, g)
	changed := func() {
		a.notify(apply.StateChanged)
		a.calm.touched()
	}
	g.Go(func() error { return a.follow(ctx, &follow.Follower{Paths: []string{c.State}, Eager: true}, changed) })
	if c.History != "" {
		_ = history.MakePinFolder(c.History) // without it, the one around it is followed
		g.Go(func() error {
			return a.follow(ctx, &follow.Follower{Paths: []string{history.PinFile(c.History)}}, changed)
		})
	}
	g.Go(func() error { return a.followTemplates(ctx) })
}

// recorder keeps each transaction in the history. That this does not work stops
// nothing, and is said once until it works again.
func (a *agent) recorder(log *history.Log) func(history.Entry) {
	said := ""
	return func(e history.Entry) {
		defer a.calm.loaded()
		problem := ""
		err := log.Add(e)
		a.status.Failed(status.History, err)
		if err != nil {
			problem = err.Error()
		}
		if problem != "" && problem != said {
			a.part("history").Error("history not kept", "error", problem)
		}
		said = problem
	}
}

// lastProven is what an earlier run proved last, or nil if that is not known.
func lastProven(log *history.Log) *apply.Desired {
	e, ok, err := log.Last()
	if err != nil || !ok {
		return nil
	}
	desired, err := apply.Recorded(e)
	if err != nil {
		return nil // of another version: it only costs a load
	}
	return desired
}

// pinned is the ruleset that `weft rollback` wants, or nil.
func (a *agent) pinned() (*apply.Desired, error) {
	e, ok, err := history.Pinned(a.config.Load().History)
	if err != nil || !ok {
		return nil, err
	}
	return apply.Recorded(e)
}

// notify asks the applier for a pass, without waiting for the one that runs.
func (a *agent) notify(change apply.Change) {
	for {
		select {
		case a.changes <- change:
			return
		case waiting := <-a.changes:
			change |= waiting
		}
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *agent) follow(ctx context.Context, f *follow.Follower, changed func()) error {
	f.Log = a.part("follow")
	if err := f.Run(ctx, changed); ctx.Err() == nil {
		return err
	}
	return nil // told to stop
}

// followTemplates follows the files that the set and its vars are read from,
// and begins anew when the configuration names others.
func (a *agent) followTemplates(ctx context.Context) error {
	for ctx.Err() == nil {
		once, cancel := context.WithCancel(ctx)
		g, once := errgroup.WithContext(once)
		g.Go(func() error {
			return a.follow(once, &follow.Follower{Paths: a.templateFiles()}, func() { a.notify(apply.TemplatesChanged) })
		})
		select {
		case <-ctx.Done():
		case <-a.paths:
		}
		cancel()
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (a *agent) templateFiles() []string {
	var paths []string
	if name := a.config.Load().Templates; name != render.Auto && !slices.Contains(templates.Names(), name) {
		paths = append(paths, name)
	}
	if a.vars.file != "" {
		paths = append(paths, a.vars.file)
	}
	return paths
}

// followConfig takes in a changed configuration file, and SIGHUP, which reads
// everything again.
func (a *agent) followConfig(ctx context.Context, g *errgroup.Group) {
	if file := a.config.Load().File; file != "" {
		g.Go(func() error {
			return a.follow(ctx, &follow.Follower{Paths: []string{file}}, func() { a.reload(apply.TemplatesChanged) })
		})
	}
	g.Go(func() error {
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangups:
				a.part("config").Info("told to read everything again")
				a.reload(apply.Everything)
			}
		}
	})
}

// reload takes the configuration as it is now. One that is wrong changes
// nothing.
func (a *agent) reload(change apply.Change) {
	c, err := a.program.config()
	if err == nil {
		_, err = gather(c)
	}
	a.status.Failed(status.Config, err)
	if err != nil {
		a.part("config").Error("configuration refused, the last good one stays in force", "error", err)
		return
	}
	a.status.Good(status.FromConfig, time.Now())
	old := a.config.Swap(c)
	if c.Node != old.Node || c.State != old.State || c.FailAfter != old.FailAfter || c.Nft != old.Nft || c.History != old.History || c.HistoryLimit != old.HistoryLimit || c.Lock != old.Lock || c.Measure != old.Measure || c.Traffic != old.Traffic || sourceDiffers(c, old) {
		a.part("config").Warn("node, state, failAfter, history, historyLimit, lock, nft, traffic, where Services come from and how nodes are measured are read at the start: restart weft for the change")
	}
	if c.Templates != old.Templates {
		poke(a.paths)
	}
	poke(a.gathers)
	a.notify(change)
}

// leave is what happens to the rules when the agent is told to stop: they stay
// until the heartbeat ends, or go now.
func (a *agent) leave(ctx context.Context) error {
	c := a.config.Load()
	if !c.CleanupOnExit {
		return nil
	}
	_, vars, err := a.vars.load(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := apply.Remove(ctx, nft.Runner{Path: c.Nft}, vars.Table()); err != nil {
		return fmt.Errorf("take the rules out: %w", err)
	}
	a.part("apply").Info("rules taken out")
	return nil
}

// follow is `weft apply --follow`.
func (p *program) follow(ctx context.Context, vars *varFlags) error {
	const command = "weft apply --follow"
	a, err := p.newAgent(vars, command, status.Applier)
	if err != nil {
		return err
	}
	return a.holding(command, func() error {
		a.started()
		g, inner := errgroup.WithContext(ctx)
		if err := a.serve(inner, g); err != nil {
			return err
		}
		a.applier(inner, g)
		a.followConfig(inner, g)
		if err := g.Wait(); err != nil {
			return err
		}
		return a.leave(ctx)
	})
}
