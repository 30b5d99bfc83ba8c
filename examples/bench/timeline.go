package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The nodes that something happens to, counted from 0.
const (
	slowed = 0 // the strongest
	victim = 2
)

// slowness is what is left of a node's speed.
const slowness = 0.3

// phase is a part of the run.
type phase struct {
	name   string
	length time.Duration
	// begin is what happens at its beginning, on each side; nil is nothing.
	begin func(s *side, seed uint64) error
	// moves is the node whose share should change, or none.
	moves int
}

const nobody = -1

// idle is the first phase, in which there is a tenth of the requests. Load comes with
// the next, so that weft has to learn what the nodes are worth while it does.
const (
	idle     = "idle"
	idleness = 0.1
)

func phases() []phase {
	return []phase{
		{idle, 30 * time.Second, nil, nobody},
		{"load", 35 * time.Second, nil, nobody},
		{"rest", 50 * time.Second, nil, nobody},
		{"noise", 25 * time.Second, noise, nobody},
		{"slow", 35 * time.Second, slowDown, slowed},
		{"fast again", 20 * time.Second, speedUp, slowed},
		{"dead", 12 * time.Second, stop, victim},
		{"alive again", 18 * time.Second, bringBack, victim},
	}
}

func noise(s *side, seed uint64) error {
	var errs []error
	for i, n := range s.nodes {
		errs = append(errs, n.disturbed(true, seed*100+uint64(i)))
	}
	return errors.Join(errs...)
}

func slowDown(s *side, _ uint64) error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.disturbed(false, 0))
	}
	n := s.nodes[slowed]
	return errors.Join(append(errs, n.limit(slowness*n.size))...)
}

func speedUp(s *side, _ uint64) error {
	n := s.nodes[slowed]
	return n.limit(n.size)
}

func stop(s *side, _ uint64) error {
	n := s.nodes[victim]
	err := s.lab.Unplug(n.Node, true)
	n.die()
	return err
}

func bringBack(s *side, _ uint64) error {
	n := s.nodes[victim]
	return errors.Join(s.lab.Unplug(n.Node, false), n.boot())
}

// span is when a phase was, after the start of the load.
type span struct {
	phase
	from, to time.Duration
	// used is how much CPU time each node used, by side.
	used map[string][]time.Duration
}

// perform makes everything happen at its time.
func perform(ctx context.Context, o options, start time.Time, sides []*side) ([]span, error) {
	var spans []span
	at := time.Duration(0)
	for _, p := range phases() {
		if err := sleep(ctx, time.Until(start.Add(at))); err != nil {
			return nil, err
		}
		length := o.paced(p.length)
		sp := span{phase: p, from: at, to: at + length, used: map[string][]time.Duration{}}
		before, err := used(sides)
		if err != nil {
			return nil, err
		}
		for _, s := range sides {
			if p.begin == nil {
				continue
			}
			if err := p.begin(s, o.seed); err != nil {
				return nil, fmt.Errorf("%s, side %s: %w", p.name, s.name, err)
			}
		}
		at = sp.to
		if err := sleep(ctx, time.Until(start.Add(at))); err != nil {
			return nil, err
		}
		after, err := used(sides)
		if err != nil {
			return nil, err
		}
		for name, of := range after {
			for i := range of {
				sp.used[name] = append(sp.used[name], of[i]-before[name][i])
			}
		}
		spans = append(spans, sp)
	}
	return spans, unhurt(sides)
}

func used(sides []*side) (map[string][]time.Duration, error) {
	all := map[string][]time.Duration{}
	for _, s := range sides {
		for _, n := range s.nodes {
			u, err := n.group.Used()
			if err != nil {
				return nil, err
			}
			all[s.name] = append(all[s.name], u)
		}
	}
	return all, nil
}

// unhurt looks whether all processes still run.
func unhurt(sides []*side) error {
	var errs []error
	for _, s := range sides {
		for _, n := range s.nodes {
			errs = append(errs, n.ended())
		}
	}
	return errors.Join(errs...)
}

// cpus are what a node had in a phase.
func (p phase) cpus(n int) float64 {
	size := sizes()[n]
	switch {
	case p.name == "slow" && n == slowed:
		return size * slowness
	case p.name == "dead" && n == victim:
		return 0
	}
	return size
}
