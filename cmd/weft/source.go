package main

import (
	"context"
	"sync/atomic"

	"weft/cmd/weft/config"
	"weft/state"
	"weft/state/watch"
)

// source is where the configuration says that Services come from.
func (a *agent) source() (watch.Source, error) {
	s := &staticSource{agent: a}
	return s, s.read()
}

// staticSource is the list of the configuration, which may change while weft
// runs.
type staticSource struct {
	agent *agent
	last  atomic.Pointer[state.State]
}

// Run reads the list again when the configuration was read again.
func (s *staticSource) Run(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.agent.gathers:
		}
		if err := s.read(); err != nil {
			s.agent.log.Error("static list refused, the last good one stays in force", "error", err)
			continue
		}
		changed()
	}
}

func (s *staticSource) read() error {
	st, err := gather(s.agent.config.Load())
	if err == nil {
		s.last.Store(st)
	}
	return err
}

// State is the list that was read last.
func (s *staticSource) State() *state.State { return s.last.Load() }

// gather makes a state of the list in the configuration.
func gather(c *config.Config) (*state.State, error) {
	st, err := c.Static.State(c.Node)
	if err != nil {
		return nil, c.Locate("static", err)
	}
	return st, nil
}
