package weight

import (
	"math"
	"slices"
)

// This file is about what is worth a rule. What is measured is noise in part, the more
// so the fewer connections there are, and what shares that are a little wrong cost
// depends on how busy the nodes are: at half of their capacity next to nothing, near
// all of it much. So while no node is busy, differences are left alone that noise may
// have made, and while one is, none are.

const (
	busyTime = 15.0 // seconds, of the mean CPU use that says how busy nodes are
	easyAt   = 0.7  // mean CPU use of the busiest node up to which there is all ease
	hardAt   = 0.8  // and from which on there is none
	// leanNoise is how much of the traffic noise may move, by its standard deviation as
	// part of a share; leastLean and mostLean bound it, in hystereses.
	leanNoise, leastLean, mostLean = 0.24, 0.5, 2.5
	leanShare                      = 0.3 // the logarithm of a change of a share that is worth a rule
	releaseGrowth                  = 1.4 // of a share whose cut is let go, that is worth a rule
	releaseCalm                    = 2.5 // hystereses, that are worth one in any case
	// rest is the part of a hysteresis that is worth no rule even at the end of a way.
	rest      = 0.25
	noiseTime = 60.0
	usualTime = 300.0
	// A trim that is lower than usual by fallen, a logarithm, is one of a node that lost
	// capacity. It goes back the faster the more of it seems to be there again: twice as
	// fast at hurry.
	fallen, hurry = 0.25, 0.2
	// idleKnee is the part of the knee below which CPU use is noise even then.
	idleKnee = 0.3
)

// knowledge is what is known of a member's trim beside its value.
type knowledge struct {
	usual    float64 // the trim of the last minutes
	age      float64 // seconds that it is the mean of
	estimate float64 // by the last sample
	noise    float64 // variance of the estimates, by how they differ one from the next
}

// take takes in the estimate of a sample, d seconds after the one before.
func (k *knowledge) take(estimate, trim, d float64) {
	if k.age > 0 {
		v := (estimate - k.estimate) * (estimate - k.estimate) / 2
		if k.noise == 0 {
			k.noise = v
		}
		k.noise += (1 - math.Exp(-d/noiseTime)) * (v - k.noise)
	}
	k.age += d
	k.estimate = estimate
	k.usual += min(1, d/min(k.age, usualTime)) * (trim - k.usual)
}

// isNoise reports whether a difference is within two standard deviations.
func (k *knowledge) isNoise(difference float64) bool {
	return math.Abs(difference) < 2*math.Sqrt(k.noise)
}

// ease is 1 while no node is busy, and 0 while one is, or that is not known. Where
// connections are kept open there is none either: what is wrong stays wrong for long.
func (s *service) ease() float64 {
	busiest := unknown
	for _, m := range s.live {
		if m.hasCPU() && !(m.node.cpu.mean <= busiest) {
			busiest = m.node.cpu.mean
		}
	}
	if !isKnown(busiest) || s.life() > 0 {
		return 0
	}
	return within((hardAt-busiest)/(hardAt-easyAt), 0, 1)
}

// leanOn lets the target follow the trims, if they moved by more than noise does.
func (s *service) leanOn(c Config) {
	if !s.leans() {
		return
	}
	from, to := s.followed(), s.trimmed()
	noise, most := 0.0, 0.0
	for i, m := range s.live {
		noise += to[i] * math.Sqrt(m.knowledge.noise)
		most = max(most, math.Abs(math.Log(to[i]/from[i])))
	}
	h := c.Hysteresis
	limit := h + s.ease()*within(leanNoise*noise, leastLean*h, mostLean*h)
	d := distance(from, to)
	if d < h || d < limit && most < leanShare {
		return
	}
	for _, m := range s.live {
		m.lean = m.trim
	}
}

// followed are the shares by the trims that the target follows, trimmed those by the
// trims as they are.
func (s *service) followed() []float64 {
	return s.shares(func(m *member) float64 { return m.latency * exp(m.lean) })
}

func (s *service) trimmed() []float64 {
	return s.shares(func(m *member) float64 { return m.latency * exp(m.trim) })
}

// leans reports whether the trims are others than the target follows.
func (s *service) leans() bool {
	return slices.ContainsFunc(s.live, func(m *member) bool { return m.lean != m.trim })
}

// doubtOf is the logarithm of how much more a node must stand out to be cut, as its
// connections are few: one standard deviation. One that is cut already is no doubt.
func (s *service) doubtOf(m *member) float64 {
	if m.conns.cut < 0 {
		return 0
	}
	return s.ease() / math.Sqrt(prior+m.conns.closed+float64(max(0, m.conns.count.Young)))
}

// releaseWorth is how many hystereses it takes that a cut which is let go is worth
// another rule: that can wait, where a deeper one cannot, and goes on for long.
func (s *service) releaseWorth() float64 {
	now := s.shares(factorOf)
	next := s.shares(func(m *member) float64 { return m.slow * m.conns.factor() })
	for i, m := range s.live {
		if m.conns.falls || next[i] > releaseGrowth*now[i] {
			return 1
		}
	}
	return 1 + (releaseCalm-1)*s.ease()
}
