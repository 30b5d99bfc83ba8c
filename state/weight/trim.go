package weight

import (
	"math"
	"slices"
	"time"
)

// stepTrims moves the trims by the CPU use of the nodes, where one is above the
// knee. Each new sample is an estimate of the trim that would make the node as
// busy as the others: what its shares were worth while the sample was taken, and
// how much less busy than the mean it was, both on a logarithmic scale. The trim
// goes some of the way there.
//
// To start from the shares of then, and not from those of now, is what makes old
// samples harmless. A plain integral of the difference goes on correcting for as
// long as the samples are late, and then the other way: in the simulation, nodes
// at 85 % swung, and one that had lost capacity and worked off its queue was
// starved.
//
// What a cut took off while a node was busy is in those shares too. So a cut
// that was right becomes a trim, and one that no CPU use speaks for is let go.
//
// Where fewer than half of the nodes have usable samples nobody is judged.
func (s *service) stepTrims(knee float64, dt time.Duration) {
	busy := s.busy()
	s.hold(busy)
	s.excuse(busy)
	mean, judged := meanPressure(busy, knee)
	ease := s.ease()
	for i, m := range s.live {
		if !judged || !isKnown(busy[i]) {
			m.trim *= 1 - leak*min(dt, maxInterval).Seconds()
			continue
		}
		m.stepTrim(mean-pressure(busy[i], knee), mean-math.Log(max(busy[i], idleKnee*knee)), s.life(), ease)
	}
	s.centre()
}

// excuse leaves out nodes whose connections fail, or did until just now: they are idle
// because they get none, and their shares of then are not what they can take.
func (s *service) excuse(busy []float64) {
	for i, m := range s.live {
		if m.conns.broken && m.node != nil {
			busy[i], m.stepped = unknown, m.node.cpu.sampled
		}
	}
}

// busy is the CPU use of the live members, unknown where they may not be judged by.
func (s *service) busy() []float64 {
	busy := s.scratch.floats(len(s.live))
	for i, m := range s.live {
		if busy[i] = unknown; m.hasCPU() {
			busy[i] = m.node.cpu.ratio
		}
		s.held.blackout = s.held.blackout || m.node != nil && m.node.cpu.fresh && !m.hasCPU()
	}
	return busy
}

func (m *member) hasCPU() bool { return m.node != nil && m.node.cpu.isUsable() }

// meanPressure is the mean of what is known. It is no judgement where fewer than
// half are known, or none is above the knee.
func meanPressure(busy []float64, knee float64) (mean float64, judged bool) {
	known, hot := 0, false
	for _, b := range busy {
		if isKnown(b) {
			known++
			mean += pressure(b, knee)
			hot = hot || b > knee
		}
	}
	return mean / float64(max(1, known)), hot && 2*known >= len(busy)
}

// pressure is the logarithm of the CPU use, as far as it is above the knee. Near
// 1, where it cannot say any more how much too much it is, it counts for more.
func pressure(busy, knee float64) float64 {
	return math.Log(max(busy, knee) + 2*max(0, busy-0.9))
}

// stepTrim takes in the newest sample, if the trim has not seen it: to step twice
// on the same one would take the way twice. life is how long connections last:
// what is busy now are those of all that time.
//
// e is how much less busy than the mean the node is; idle is the same with the CPU use
// as it is, also where it is below the knee.
func (m *member) stepTrim(e, idle, life, ease float64) {
	c := &m.node.cpu
	d := min(max(0, c.sampled.Sub(m.stepped)), maxInterval).Seconds()
	first := m.stepped.IsZero()
	m.stepped = c.sampled
	if first || d == 0 {
		return
	}
	then := m.past.mean(c.sampled.Add(-seconds(c.spacing+2*life)), c.sampled)
	estimate, tau := then+e, trimTime.Seconds()
	switch k := &m.knowledge; {
	case life == 0 && m.trim < k.usual-fallen:
		estimate = max(estimate, min(then+idle, k.usual))
		tau /= 1 + math.Pow(max(0, estimate-m.trim)/hurry, 2)
	case k.isNoise(estimate - m.trim):
		tau *= 1 + ease
	}
	m.knowledge.take(estimate, m.trim, d)
	m.trim += (1 - math.Exp(-d/tau)) * (estimate - m.trim)
	m.trim *= 1 - sampleLeak
}

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

// centre keeps the mean of the trims at 0 and each within its limits.
func (s *service) centre() {
	sum := 0.0
	for _, m := range s.live {
		sum += m.trim
	}
	for _, m := range s.live {
		m.trim = within(m.trim-sum/float64(len(s.live)), -trimLimit, trimLimit)
	}
}

// sound is the factor without a cut because of failures, which leaves to the others
// what says nothing about them.
func (m *member) sound() float64 {
	if m.conns.broken {
		return m.slow
	}
	return m.slow * m.conns.factor()
}

// note keeps what the shares are worth: the logarithm of the factors that are in
// use, without what the latency made of them, against their mean.
func (s *service) note(now time.Time) {
	worth := s.scratch.floats(len(s.live))
	sum := 0.0
	broken := slices.ContainsFunc(s.live, func(m *member) bool { return m.conns.broken })
	for i, m := range s.live {
		worth[i] = math.Log(m.factor) - m.followed
		if broken {
			worth[i] = math.Log(m.sound()) - m.followed
		}
		sum += worth[i]
	}
	for i, m := range s.live {
		m.past.note(now, worth[i]-sum/float64(len(s.live)))
	}
}
