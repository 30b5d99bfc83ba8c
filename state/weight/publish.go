package weight

import (
	"math"
	"slices"
	"time"

	"weft/state"
)

// held is why the shares are not the targets.
type held struct {
	hysteresis bool
	step       bool // the shares are under way
	blackout   bool
	stale      bool
	doubt      bool // too few nodes are known, or too many out
	slowStart  bool
	alone      bool // all nodes of the ServicePort are out
}

func (h *held) reasons() []state.Hold {
	var reasons []state.Hold
	for _, r := range [...]struct {
		holds bool
		hold  state.Hold
	}{
		{h.blackout, state.HoldBlackout},
		{h.hysteresis, state.HoldHysteresis},
		{h.doubt || h.alone, state.HoldPanic},
		{h.slowStart, state.HoldSlowStart},
		{h.stale, state.HoldStale},
		{h.step, state.HoldStep},
	} {
		if r.holds {
			reasons = append(reasons, r.hold)
		}
	}
	return reasons
}

// publish makes a ServicePort of what is known. If the shares are the same it does so only
// for factors that look different to a reader, and where no connections are, shortly after
// the last time only for those that look very different: every pointer that is new is work
// for all who come after.
func (s *service) publish(e *Engine, must bool, now time.Time) {
	s.retarget(e.config)
	held := s.held.reasons()
	if !must && s.published != nil {
		same, similar := s.compare(held)
		if s.lags = !same; same || similar && s.isUnguarded() && now.Sub(s.told) < e.figuresTime() {
			return
		}
	}
	s.told, s.lags = now, false
	p := *s.gathered
	p.Policy, p.Held, p.Factors = s.policy, held, s.factors(&figures{})
	p.Endpoints = s.endpointsWithShares()
	if s.published != nil && slices.Equal(p.Endpoints, s.published.Endpoints) {
		p.Endpoints = s.published.Endpoints // which whoever keeps an older state has already
	}
	s.published = &p
}

// retarget makes the shares that nothing would hold back.
func (s *service) retarget(c Config) {
	if len(s.live) == 0 {
		return
	}
	target := s.shares(func(m *member) float64 { return m.latencyFactor() * exp(m.trim) * m.conns.factor() })
	s.bound(target, c)
	for i, m := range s.live {
		m.target = target[i]
	}
}

// latencyFactor is 1 before there was any judgement.
func (m *member) latencyFactor() float64 {
	if m.latency > 0 {
		return m.latency
	}
	return 1
}

// figures is room for factors, and for their numbers, of which some are none.
type figures struct {
	factors []state.Factor
	numbers []float64
}

// make clears room for n factors.
func (f *figures) make(n int) []state.Factor {
	if cap(f.factors) < n {
		f.factors, f.numbers = make([]state.Factor, 0, n), make([]float64, 0, 4*n)
	}
	f.factors, f.numbers = f.factors[:n], f.numbers[:0]
	clear(f.factors)
	return f.factors
}

// number is never 0, which would be no factor.
func (f *figures) number(v float64) *float64 {
	f.numbers = append(f.numbers, max(digits(v), 1e-4)) // there is room for all
	return &f.numbers[len(f.numbers)-1]
}

// factors are good as long as the room is.
func (s *service) factors(room *figures) []state.Factor {
	factors := room.make(len(s.members))
	for i, m := range s.members {
		factors[i] = state.Factor{Node: m.group.node, Address: m.address}
	}
	shares := s.shares(factorOf)
	for i, m := range s.live {
		f := &factors[slices.Index(s.members, m)]
		f.Base = room.number(m.base)
		f.Target, f.Share = digits(m.target), digits(shares[i])
		if usesLatency(s.policy) && m.latency > 0 {
			f.Latency = room.number(m.latency)
		}
		if usesLoad(s.policy) {
			f.Trim = room.number(exp(m.trim))
		}
		if s.guard.ticks > 0 || m.conns.factor() < 1 {
			f.Guard = room.number(m.conns.factor())
		}
	}
	return factors
}

// digits rounds to what a reader can use.
func digits(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// What a reader takes for the same figure, and what can wait for figuresTime: noise moves
// those of a whole cluster at once. That is leastFigures and a little for each ServicePort,
// since each costs a little: three minutes and a quarter in the largest cluster.
const (
	sameFigure, similarFigure = 0.03, 0.2
	leastFigures, moreFigures = time.Minute, 50 * time.Millisecond
)

func (e *Engine) figuresTime() time.Duration {
	return leastFigures + time.Duration(len(e.order))*moreFigures
}

// compare reports whether what was published looks the same to a reader as what is
// known now, or similar at least.
func (s *service) compare(held []state.Hold) (same, similar bool) {
	factors, told := s.factors(&s.scratch.figures), s.published
	look := func(tolerance float64) bool {
		return slices.EqualFunc(factors, told.Factors, func(f, g state.Factor) bool { return looksSame(&f, &g, tolerance) })
	}
	if !look(similarFigure) || !areSimilar(held, told.Held) {
		return false, false
	}
	return slices.Equal(held, told.Held) && look(sameFigure), true
}

// areSimilar overlooks that a target is just near enough to be left alone, or just there.
func areSimilar(a, b []state.Hold) bool {
	without := func(list []state.Hold) []state.Hold {
		return slices.DeleteFunc(slices.Clone(list), func(h state.Hold) bool { return h == state.HoldHysteresis })
	}
	return slices.Equal(a, b) || slices.Equal(without(a), without(b))
}

// looksSame allows for figures that moved by a part of themselves. What load made of a
// share is no noise.
func looksSame(f, g *state.Factor, part float64) bool {
	return f.Node == g.Node && f.Address == g.Address && near(f.Base, g.Base, sameFigure) && near(f.Latency, g.Latency, part) &&
		near(f.Trim, g.Trim, sameFigure) && near(f.Guard, g.Guard, sameFigure) && near(&f.Target, &g.Target, part) && f.Share == g.Share
}

func near(a, b *float64, part float64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return math.Abs(*a-*b) <= part*max(*a, *b)
}

// endpointsWithShares are the gathered endpoints, each with its part of its node's
// share.
func (s *service) endpointsWithShares() []state.Endpoint {
	ends := slices.Clone(s.gathered.Endpoints)
	for family := range 2 {
		sum := 0.0
		for i := range ends {
			if s.family(i) == family {
				sum += s.endpoints[i].weight * s.endpoints[i].member.factor
			}
		}
		for i := range ends {
			if s.family(i) == family && sum > 0 {
				ends[i].Share = round(s.endpoints[i].weight*s.endpoints[i].member.factor/sum, len(ends))
			}
		}
	}
	return ends
}

// round leaves off digits that say nothing, as long as the sum of n of them stays
// near enough to 1.
func round(v float64, n int) float64 {
	if n > 1000 || v < 1e-6 {
		return v
	}
	return math.Round(v*1e9) / 1e9
}
