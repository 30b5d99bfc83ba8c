package main

import (
	"time"

	"weft/state"
	"weft/state/weight"
)

// weigher makes shares by the configuration that is in force.
type weigher struct {
	agent  *agent
	engine *weight.Engine
}

func (a *agent) newWeigher() *weigher {
	c := a.config.Load()
	return &weigher{agent: a, engine: weight.New(c.Weight.Config(), c.Node)}
}

// Weigh is one step of the engine.
func (w *weigher) Weigh(gathered, before *state.State, now time.Time) (*state.State, time.Duration) {
	w.engine.SetConfig(w.agent.config.Load().Weight.Config())
	weighed, wait := w.engine.Step(now, weight.Inputs{State: gathered, Before: before})
	return weighed, max(wait, time.Millisecond) // 0 is never
}
