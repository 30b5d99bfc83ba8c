package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sync/errgroup"

	"weft/examples/lab"
	"weft/examples/lab/cgroup"
)

// cost is the CPU time that a request takes in all, nearly; the report tells what it was.
const cost = 3300 * time.Microsecond

// outcome is what came of a run.
type outcome struct {
	spans   []span
	answers map[string][]answer // by side
	changes []change
	agents  int
	rate    float64
	version int // of cgroups
	// through is how many connections went past weft's rules on its side.
	through uint64
	// busy is how much of its CPUs the whole machine used, 0 to 1.
	busy float64
}

// measure runs everything and reports.
func measure(ctx context.Context, o options, stdout io.Writer) (err error) {
	weft, err := filepath.Abs(o.weft)
	if err != nil {
		return err
	}
	if _, err := os.Stat(weft); err != nil {
		return fmt.Errorf("no weft to run (make build makes it): %w", err)
	}
	h, err := cgroup.Open()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weft-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keepLogs(dir, o.out), os.RemoveAll(dir)) }()
	var sides []*side
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.close())
		}
	}()
	for _, of := range []struct{ name, weft string }{{sideEqual, ""}, {sideWeft, weft}} {
		s, err := newSide(of.name, of.weft, dir, h)
		if err != nil {
			return err
		}
		sides = append(sides, s)
	}
	out, err := race(ctx, o, sides)
	if err != nil {
		return err
	}
	out.version = h.Version
	if err := report(stdout, o, out); err != nil {
		return err
	}
	return plots(o, out, stdout)
}

// race gives both sides their requests and lets things happen.
func race(ctx context.Context, o options, sides []*side) (*outcome, error) {
	for _, s := range sides {
		if err := s.await(ctx); err != nil {
			return nil, err
		}
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, err
	}
	before, err := fs.Stat()
	if err != nil {
		return nil, err
	}
	start := time.Now().Add(time.Second).Round(0) // the processes share no monotonic clock
	seen := &observer{start: start, side: sides[len(sides)-1]}
	out := &outcome{answers: map[string][]answer{}, rate: rate(o), agents: len(seen.side.entries())}
	loads := make([]*load, len(sides))
	for i, s := range sides {
		if loads[i], err = s.load(o, start); err != nil {
			return nil, errors.Join(err, endAll(loads))
		}
	}
	g, inner := errgroup.WithContext(ctx)
	over, done := context.WithCancel(inner)
	defer done()
	g.Go(func() error { return seen.run(over) })
	g.Go(func() error {
		defer done()
		var err error
		out.spans, err = perform(inner, o, start, sides)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, endAll(loads))
	}
	after, err := fs.Stat()
	if err != nil {
		return nil, errors.Join(err, endAll(loads))
	}
	out.changes, out.busy = seen.changes, busy(before.CPUTotal, after.CPUTotal)
	if out.through, err = through(seen.side); err != nil {
		return nil, errors.Join(err, endAll(loads))
	}
	for i, l := range loads {
		if out.answers[sides[i].name], err = l.results(ctx); err != nil {
			return nil, errors.Join(err, endAll(loads))
		}
	}
	return out, nil
}

func rate(o options) float64 {
	sum := 0.0
	for _, s := range sizes() {
		sum += s
	}
	return o.load * sum / cost.Seconds()
}

func busy(before, after procfs.CPUStat) float64 {
	idle := after.Idle + after.Iowait - before.Idle - before.Iowait
	all := idle + after.User + after.Nice + after.System + after.IRQ + after.SoftIRQ + after.Steal -
		before.User - before.Nice - before.System - before.IRQ - before.SoftIRQ - before.Steal
	return 1 - idle/all
}

func through(s *side) (uint64, error) {
	sum := uint64(0)
	for _, n := range s.entries() {
		taken, err := lab.Taken(n.Namespace)
		if err != nil {
			return 0, err
		}
		sum += taken
	}
	return sum, nil
}

// load is a load generator that runs.
type load struct {
	order   order
	process *process
	out     bytes.Buffer // read when the process ended
	problem bytes.Buffer
}

func (s *side) load(o options, start0 time.Time) (*load, error) {
	l := &load{order: order{Start: start0, Seed: o.seed, Rate: rate(o), Targets: s.targets()}}
	for _, p := range phases() {
		length := o.paced(p.length)
		l.order.Length += length
		if p.name == idle {
			l.order.Idle = length
		}
	}
	text, err := json.Marshal(l.order)
	if err != nil {
		return nil, err
	}
	l.process, err = start(s.lab.Client, &l.out, &l.problem, roleLoad, string(text))
	return l, err
}

// results waits until the last request is answered.
func (l *load) results(ctx context.Context) ([]answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	select {
	case <-l.process.ended:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the load generator: %w", ctx.Err())
	}
	if l.process.err != nil {
		return nil, fmt.Errorf("load generator: %w: %s", l.process.err, l.problem.String())
	}
	return answers(&l.out, l.order)
}

func endAll(loads []*load) error {
	for _, l := range loads {
		if l != nil && l.process != nil {
			l.process.kill()
		}
	}
	return nil
}

// keepLogs moves what the processes said to where the plots are.
func keepLogs(dir, out string) error {
	if out == "" {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "log"))
	if err != nil {
		return err
	}
	for _, f := range found {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		node := filepath.Dir(f)
		name := fmt.Sprintf("%s-%s.log", filepath.Base(filepath.Dir(node)), filepath.Base(node))
		if err := os.MkdirAll(out, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
