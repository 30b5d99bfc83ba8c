package weight

import (
	"math"
	"time"

	"weft/state"
)

// rebound brings shares that go with another base back between their bounds.
func (s *service) rebound(c Config) {
	if len(s.live) == 0 {
		return
	}
	slow, factor := s.shares(slowOf), s.shares(factorOf)
	s.bound(slow, c)
	s.bound(factor, c)
	s.setSlow(slow)
	s.setFactor(factor)
}

func (s *service) bound(p []float64, c Config) {
	floor := c.Floor
	if s.policy == state.PolicyLocal {
		floor = min(floor, far)
	}
	base := s.bases()
	low, high := s.scratch.clone(base), base
	for i, m := range s.live {
		low[i] *= floor * m.conns.fallen()
		high[i] *= c.Ceiling
	}
	bound(s.scratch, p, low, high)
}

// move is a step of the slow loop: a new target, and some of the way there. It
// reports whether the slow shares moved.
//
// Whether a move is worth a rule is a question about the way to the target, and
// not about the step: with short ticks every step is too small to be one.
// Once under way, shares go all of it, but for a rest that is worth no rule.
func (s *service) move(e *Engine, now time.Time) bool {
	if len(s.live) == 0 {
		return false
	}
	dt := min(max(0, now.Sub(e.last)), maxInterval)
	s.judge(e, now, dt)
	s.leanOn(e.config)
	target := s.followed()
	s.bound(target, e.config)
	p := s.shares(slowOf)
	d := distance(p, target)
	worth := e.config.Hysteresis
	if s.held.step {
		worth *= rest
	}
	if d < max(noDifference, worth) {
		s.held.step = false
		s.held.hysteresis = d >= noDistance || s.leans() && distance(s.followed(), s.trimmed()) >= noDistance
		return false
	}
	limit := e.config.StepLimit * dt.Seconds() / slowTick.Seconds()
	s.held.hysteresis, s.held.step = false, d > limit
	part := toward(p, target, limit)
	for _, m := range s.live {
		m.followed += part * (math.Log(m.latencyFactor()) - m.followed)
	}
	s.setSlow(p)
	return true
}

// judge makes the factors of what was measured.
func (s *service) judge(e *Engine, now time.Time, dt time.Duration) {
	s.held.blackout, s.held.stale, s.held.doubt = false, false, e.doubt
	if usesLatency(s.policy) {
		s.judgeLatency(e, now)
	} else {
		for _, m := range s.live {
			m.latency = 1
		}
	}
	if usesLoad(s.policy) {
		s.stepTrims(e.config.Knee, dt)
		return
	}
	for _, m := range s.live {
		m.trim, m.lean = 0, 0
	}
}

// judgeLatency makes the latency factors. While a node is measured for too short
// a time, the factor that there was stays.
func (s *service) judgeLatency(e *Engine, now time.Time) {
	latency := s.latencies(now)
	s.hold(latency)
	if s.policy == state.PolicyLocal {
		s.stepSpill(latency, e.tick() == peerTick, min(max(0, now.Sub(e.last)), maxInterval))
	}
	factors := s.latencyFactors(latency, e.config)
	for i, m := range s.live {
		young := m.node != nil && m.node.latency.isYoung(now, e.begun)
		if s.held.blackout = s.held.blackout || young; !young || m.latency == 0 {
			m.latency = factors[i]
		}
	}
}

// hold notes which nodes cannot be judged.
func (s *service) hold(measured []float64) {
	known := 0
	for _, v := range measured {
		if isKnown(v) {
			known++
		}
	}
	s.held.stale = s.held.stale || known < len(measured)
	s.held.doubt = s.held.doubt || known > 0 && 2*known < len(measured)
}

// latencies are those of the live members in seconds, unknown where they may not
// be judged by.
func (s *service) latencies(now time.Time) []float64 {
	l := s.scratch.floats(len(s.live))
	for i, m := range s.live {
		if l[i] = unknown; m.node != nil {
			l[i] = m.node.latency.value(now)
		}
	}
	return l
}

// latencyFactors are those of the policy. Answers of HTTP hold the time that a
// request takes and waits already, so they count for less: a queue is where the
// agents' own decisions show first, and a quick answer to it makes them swing.
func (s *service) latencyFactors(latency []float64, c Config) []float64 {
	if s.policy == state.PolicyLocal {
		return localFactors(s.scratch, latency, s.far())
	}
	s0, beta := c.RequestTime.Seconds(), 1.0
	for _, m := range s.live {
		if m.node != nil && m.node.latency.http {
			s0, beta = max(s0, least(latency)), 0.5
			break
		}
	}
	return latencyFactors(s.scratch, latency, s0, beta)
}

// apply makes the shares that are in use of the slow ones and the cuts, and
// reports whether they changed. must is whether they follow in any case; else
// only a difference that is worth a rule does it, or the end of all cuts.
func (s *service) apply(c Config, must bool) bool {
	if len(s.live) == 0 {
		return false
	}
	p := s.shares(func(m *member) float64 { return m.slow * m.conns.factor() })
	s.bound(p, c)
	s.restock(p, c)
	d := distance(p, s.shares(factorOf))
	over := !s.isCut() && s.life() == 0 && d >= rest*c.Hysteresis
	if d < noDifference || !must && !over && !s.isWorth(d, c) {
		return false
	}
	s.setFactor(p)
	return true
}
