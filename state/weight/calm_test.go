package weight

import (
	"math"
	"testing"
	"time"

	"weft/state"
)

var noon = time.Date(2025, 11, 24, 12, 0, 0, 0, time.UTC)

// pair is a ServicePort of two nodes that are alike and as busy as that.
func pair(busy float64) *service {
	s := &service{scratch: new(scratch), policy: state.PolicyLatencyCPU}
	for range 2 {
		n := &node{cpu: cpu{ratio: busy, mean: busy, samples: matureSamples, fresh: true, sampled: noon}}
		m := &member{node: n, base: 0.5, slow: 1, factor: 1, latency: 1}
		s.members, s.live = append(s.members, m), append(s.live, m)
	}
	return s
}

// apart gives the two what is d more and less than the half each, as logarithms.
func apart(d float64) [2]float64 { return [...]float64{math.Log(1 + 2*d), math.Log(1 - 2*d)} }

// A trim that moved is followed if the traffic that goes elsewhere is worth it: more of
// it where noise moves much, and less where a node is busy.
func TestLeanOn(t *testing.T) {
	for _, c := range []struct {
		name           string
		busy, noise, d float64
		want           bool
	}{
		{"less than a hysteresis", 0.5, 0, 0.019, false},
		{"no noise", 0.5, 0, 0.031, true},
		{"no noise, yet half a hysteresis more", 0.5, 0, 0.029, false},
		{"noise", 0.5, 0.2, 0.06, false},
		{"more than noise", 0.5, 0.2, 0.071, true},
		{"busy", 0.85, 0.2, 0.021, true},
		{"busy, less than a hysteresis", 0.85, 0, 0.019, false},
		{"in between", 0.75, 0.2, 0.03, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pair(c.busy)
			for i, trim := range apart(c.d) {
				s.live[i].trim, s.live[i].knowledge.noise = trim, c.noise*c.noise
			}
			s.leanOn(Default())
			if got := s.live[0].lean == s.live[0].trim; got != c.want {
				t.Errorf("followed %t, want %t", got, c.want)
			}
		})
	}
}

// A small share that loses a third is followed, though little traffic goes elsewhere.
func TestLeanOnSmallShares(t *testing.T) {
	for part, want := range map[float64]bool{0.8: false, 0.6: true} {
		s := pair(0.5)
		s.live[0].base, s.live[1].base = 0.9, 0.1
		s.live[1].trim = math.Log(part)
		for _, m := range s.live {
			m.knowledge.noise = 1
		}
		s.leanOn(Default())
		if got := s.live[1].lean != 0; got != want {
			t.Errorf("%v of a share: followed %t, want %t", part, got, want)
		}
	}
}

func TestReleaseWorth(t *testing.T) {
	for _, c := range []struct {
		name           string
		busy, cut, was float64
		falls          bool
		want           float64
	}{
		{"it can wait", 0.5, -0.1, 0.8, false, releaseCalm},
		{"a deeper cut cannot", 0.5, -0.1, 0.8, true, 1},
		{"nor a share that grows by half", 0.5, 0, 0.5, false, 1},
		{"nor anything while a node is busy", 0.85, -0.1, 0.8, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pair(c.busy)
			s.live[0].conns = conns{cut: c.cut, falls: c.falls}
			s.live[0].factor = c.was
			if got := s.releaseWorth(); math.Abs(got-c.want) > 1e-9 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// Few connections have to stand out by more, and none while a node is busy.
func TestDoubtOf(t *testing.T) {
	doubt := func(busy float64, c conns) float64 {
		s := pair(busy)
		s.live[0].conns = c
		return s.doubtOf(s.live[0])
	}
	few, many := doubt(0.5, conns{closed: 4}), doubt(0.5, conns{closed: 395})
	if math.Abs(few-1/3.) > 1e-9 || math.Abs(many-1/20.) > 1e-9 {
		t.Errorf("got %v for few, %v for many", few, many)
	}
	if busy, cut := doubt(0.9, conns{closed: 4}), doubt(0.5, conns{closed: 4, cut: -0.1}); busy != 0 || cut != 0 {
		t.Errorf("got %v while busy, %v for one that is cut", busy, cut)
	}
}

// What is left of a way is worth no rule, and what is under way goes on up to there.
func TestRest(t *testing.T) {
	move := func(d float64, under bool) (moved bool, s *service) {
		s = pair(0.1)
		s.policy, s.held.step = state.PolicyStatic, under
		for i, l := range apart(d) {
			s.live[i].slow = math.Exp(l)
		}
		e := New(Default(), "me")
		return s.move(e, noon), s
	}
	apply := func(d float64, must bool) bool {
		s := pair(0.1)
		for i, l := range apart(d) {
			s.live[i].factor = math.Exp(l)
		}
		return s.apply(Default(), must)
	}
	for _, c := range []struct {
		name      string
		got, want bool
	}{
		{"a rest", first(move(0.004, true)), false},
		{"more than a rest", first(move(0.006, true)), true},
		{"that, if nothing is under way", first(move(0.006, false)), false},
		{"a hysteresis", first(move(0.021, false)), true},
		{"a rest when all cuts are over", apply(0.004, false), false},
		{"more than a rest when all cuts are over", apply(0.006, false), true},
		{"a rest that must be", apply(0.004, true), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: moved %t, want %t", c.name, c.got, c.want)
		}
	}
	if _, s := move(0.004, true); s.held.step {
		t.Error("a way that has come to its rest is still under way")
	}
}

func first(moved bool, _ *service) bool { return moved }

// A trim far below its usual goes back the faster the less busy the node is, and no
// further than it usually was.
func TestFallenTrimGoesBack(t *testing.T) {
	after := func(usual, idle float64) float64 {
		m := pair(0.1).live[0]
		m.trim, m.knowledge = -0.5, knowledge{usual: usual, age: 60}
		m.stepped = noon.Add(-5 * time.Second)
		m.stepTrim(-0.4, idle, 0, 1)
		return m.trim
	}
	slow, quick, quicker := after(-0.5, 1), after(0, 0.1), after(0, 1)
	if !(quick > slow+0.1 && quicker >= quick && quicker < 0.01) {
		t.Errorf("as usual %v, fallen %v, fallen and idle %v", slow, quick, quicker)
	}
}

// What may be noise moves a trim half as fast while no node is busy.
func TestNoiseMovesTrimsLess(t *testing.T) {
	after := func(noise, ease float64) float64 {
		m := pair(0.1).live[0]
		m.knowledge.noise = noise
		m.stepped = noon.Add(-5 * time.Second)
		m.stepTrim(0.2, 0.2, 0, ease)
		return m.trim
	}
	clear, noisy, busy := after(0, 1), after(1, 1), after(1, 0)
	if busy != clear || !(noisy < 0.6*clear) {
		t.Errorf("clear %v, noisy %v, noisy and busy %v", clear, noisy, busy)
	}
}

// After a restart a node that was slow is no one that fell.
func TestTrimIsUsualAfterRestart(t *testing.T) {
	s := pair(0.1)
	p := &state.ServicePort{}
	for i, m := range s.live {
		m.group.node = []string{"n0", "n1"}[i]
		p.Factors = append(p.Factors, state.Factor{Node: m.group.node, Trim: new([]float64{0.6, 1 / 0.6}[i])})
	}
	s.takeFactors(p, false)
	for i, m := range s.live {
		if want := math.Log(*p.Factors[i].Trim); math.Abs(m.trim-want) > 1e-9 || m.knowledge.usual != m.trim || m.lean != m.trim {
			t.Errorf("%s: trim %v, usual %v, lean %v, want all %v", m.group.node, m.trim, m.knowledge.usual, m.lean, want)
		}
	}
}

func TestKnowledge(t *testing.T) {
	var steady, shaky knowledge
	for i := range 100 {
		steady.take(-0.2, -0.2, 2)
		shaky.take([]float64{-0.4, 0}[i%2], -0.2, 2)
	}
	if steady.noise != 0 || math.Abs(shaky.noise-0.08) > 1e-6 { // the square of the difference of two, halved
		t.Errorf("noise %v and %v", steady.noise, shaky.noise)
	}
	if math.Abs(steady.usual+0.2) > 1e-9 {
		t.Errorf("usual %v, want -0.2", steady.usual)
	}
	if !shaky.isNoise(0.5) || shaky.isNoise(0.6) || steady.isNoise(0.01) {
		t.Error("what is noise is not two standard deviations")
	}
}
