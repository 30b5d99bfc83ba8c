package weight

import (
	"math"
	"slices"
	"time"

	"weft/state"
)

// This file is about doing nothing. A large cluster has thousands of ServicePorts, of
// which most have no connection and nodes that are as they were. A step of one in which
// nothing is new ends where it began, so it is left out: it rests until there is news
// of its nodes, of its connections, or of what is asked of it.

// sameLatency is the part of the time that a request takes by which a latency may have
// moved since all was judged by it, and is the same. By similarLatency it is noise more
// often than not, which need be judged once in figuresTime: at worst, shares of two nodes
// that would move by little more than is worth a rule do so that much later.
const sameLatency, similarLatency = 0.005, 0.05

// epochs count what is new to ServicePorts at rest.
type epochs struct {
	nodes int       // grows with all that is new of nodes and rules,
	began time.Time // when it last did
	hot   int       // grows with each node that gets hot or no longer is
}

// known is what was known of a node when the epoch began.
type known struct {
	latency                       float64 // seconds, or unknown
	young, http, fresh, peer, has bool
	hot                           bool
}

// look is what is known now.
func (n *node) look(e *Engine, now time.Time) known {
	return known{
		latency: n.latency.value(now), young: n.latency.isYoung(now, e.begun), http: n.latency.http,
		fresh: n.cpu.fresh, peer: n.cpu.peer, has: n.cpu.isUsable(), hot: n.cpu.isUsable() && n.cpu.ratio > min(e.config.Knee, spillAt),
	}
}

// isSame reports whether nothing is new but for how hot the node is. tolerance is the part
// by which the latency may have moved.
func (k *known) isSame(l *known, tolerance, s0 float64) bool {
	a, b := *k, *l
	a.latency, b.latency, a.hot, b.hot = 0, 0, false, false
	if a != b || isKnown(k.latency) != isKnown(l.latency) {
		return false
	}
	return !isKnown(k.latency) || math.Abs(k.latency-l.latency) <= tolerance*(s0+min(k.latency, l.latency))
}

// notice begins epochs where something is new of the nodes, or of whether connections
// can be seen.
func (e *Engine) notice(c *Connections, doubted bool, now time.Time) {
	news := e.other || e.turned || doubted != e.doubt || (c != nil) != e.sees
	e.sees = c != nil
	tolerance := similarLatency
	if now.Sub(e.epochs.began) >= e.figuresTime() {
		tolerance = sameLatency
	}
	for _, n := range e.nodes {
		seen := n.look(e, now)
		news = news || !n.known.isSame(&seen, tolerance, e.config.RequestTime.Seconds())
		if n.known.hot != seen.hot {
			n.known.hot = seen.hot
			e.epochs.hot++
		}
	}
	if !news {
		return
	}
	e.epochs.nodes++
	e.epochs.began = now
	for _, n := range e.nodes {
		n.known = n.look(e, now)
	}
}

// rests reports whether the step of a ServicePort may be left out.
func (e *Engine) rests(s *service, p *state.ServicePort, c *Connections, now time.Time) bool {
	return s.still.holds && (s.still.until.IsZero() || now.Before(s.still.until)) && s.gathered == p && s.still.epochs.nodes == e.epochs.nodes &&
		(s.still.blind || s.still.epochs.hot == e.epochs.hot) && (s.guard.ticks == 0 || e.isQuietAt(s, c))
}

// isQuietAt reports whether there is nothing new of the connections of a ServicePort.
func (e *Engine) isQuietAt(s *service, c *Connections) bool {
	return e.unchanged || len(c.Counts[NodePort{s.gathered.Protocol, s.gathered.NodePort}]) == 0
}

// stillness is what a ServicePort knows of being at rest.
type stillness struct {
	holds  bool
	until  time.Time // zero is for ever; then there are figures to tell
	blind  bool      // too little is known of CPU use for it to count
	epochs epochs
}

// lull is the rest of all ServicePorts: as long as it lasts, none of them is looked at.
type lull struct {
	holds               bool
	gathered, published []*state.ServicePort
	until               time.Time // the first of them; zero is for ever
	epochs              epochs
}

// take takes in a ServicePort that was looked at.
func (l *lull) take(s *stillness) {
	l.holds = l.holds && s.holds
	if !s.until.IsZero() && (l.until.IsZero() || s.until.Before(l.until)) {
		l.until = s.until
	}
}

// lasts reports whether each of the ServicePorts rests.
func (l *lull) lasts(e *Engine, list []*state.ServicePort, now time.Time) bool {
	return l.holds && e.unchanged && l.epochs == e.epochs && (l.until.IsZero() || now.Before(l.until)) && slices.Equal(l.gathered, list)
}

// settleDown notes after a step of the slow loop whether another would change nothing.
// moved is whether this one did.
func (s *service) settleDown(e *Engine, moved bool) {
	s.still = stillness{epochs: e.epochs, blind: !s.hasCPU()}
	if s.lags {
		s.still.until = s.told.Add(e.figuresTime())
	}
	hot := s.isHot()
	s.still.holds = !moved && !s.young && !s.held.step && (s.still.blind || !hot) && s.isUnguarded() && s.hasSettledTrims(e.config) &&
		(s.policy != state.PolicyLocal || s.spill == 0 && !hot)
}

// isHot reports whether some node is so busy that it counts.
func (s *service) isHot() bool {
	for _, m := range s.live {
		if m.node != nil && m.node.known.hot {
			return true
		}
	}
	return false
}

// isUnguarded reports whether the guard has nothing to do.
func (s *service) isUnguarded() bool {
	if s.guard.ticks > 0 {
		return s.guard.isAsleep()
	}
	return !s.isCut()
}

// isAsleep reports whether there is nothing left of connections. The first looks after a
// start are made all the same, since later ones count on them.
func (g *guard) isAsleep() bool { return g.idle && g.ticks > 2*firstTicks }

// least of a trim, and of what is left of a stock, that a reader could see.
const leastTrim, leftStock = 1e-4, 0.5

// hasSettledTrims reports whether the trims are as good as none, and the target would
// not follow them any more.
func (s *service) hasSettledTrims(c Config) bool {
	for _, m := range s.live {
		if math.Abs(m.trim) > leastTrim {
			return false
		}
	}
	return !s.leans() || distance(s.followed(), s.trimmed()) < c.Hysteresis
}
