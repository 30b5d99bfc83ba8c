package main

import (
	"net/netip"
	"time"

	"weft/state"
	"weft/state/traffic"
	"weft/state/weight"
)

// weigher makes shares by the configuration that is in force.
type weigher struct {
	agent   *agent
	engine  *weight.Engine
	traffic *traffic.Observer // nil without a guard
	last    *weight.Connections
}

func (a *agent) newWeigher() *weigher {
	c := a.config.Load()
	w := &weigher{agent: a, engine: weight.New(c.Weight.Config(), c.Node)}
	if c.Weight.Guard {
		w.traffic = a.observer
	}
	return w
}

// Weigh is one step of the engine.
func (w *weigher) Weigh(gathered, before *state.State, now time.Time) (*state.State, time.Duration) {
	w.engine.SetConfig(w.agent.config.Load().Weight.Config())
	weighed, wait := w.engine.Step(now, weight.Inputs{State: gathered, Before: before, Connections: w.connections()})
	return weighed, max(wait, time.Millisecond) // 0 is never
}

// connections are those that were counted, or nil where they cannot be.
func (w *weigher) connections() *weight.Connections {
	if w.traffic == nil {
		return nil
	}
	counts, err := w.traffic.Counts()
	if err != nil {
		return nil // the observer has said why
	}
	if w.last == nil || w.last.Change != counts.Change {
		w.last = connectionsOf(counts)
	}
	same := *w.last
	same.At = counts.At
	return &same
}

// connectionsOf are counts as the engine takes them: those that were followed, so
// that all numbers are about the same connections.
func connectionsOf(counts *traffic.Counts) *weight.Connections {
	c := &weight.Connections{At: counts.At, Exact: true, Change: counts.Change, Counts: make(map[weight.NodePort]map[netip.AddrPort]weight.Count, len(counts.By))}
	for port, by := range counts.By {
		if port.Protocol != state.TCP {
			continue // nothing is known of them but that they were opened
		}
		endpoints := make(map[netip.AddrPort]weight.Count, len(by))
		for e, n := range by {
			endpoints[e] = weight.Count{Young: n.Young, Open: n.Open, Opened: n.Followed, Failed: n.Failed, Seconds: n.Seconds}
		}
		c.Counts[weight.NodePort{Protocol: port.Protocol, Port: port.Port}] = endpoints
	}
	return c
}
