package weight

import (
	"math"
	"time"
)

// stepTrims moves the trims by the CPU use of the nodes: e is how much less
// pressed a node is than the mean, on a logarithmic scale, and the trim its
// integral with a slow leak. A node at 100 % has lost its scale, so it loses a
// fixed amount besides, as long as another one has room.
//
// Only new samples count: to step twice on the same one would steer in the
// direction in which the traffic went already. Where fewer than half of the nodes
// have usable samples nobody is judged.
func (s *service) stepTrims(knee float64, dt time.Duration) {
	busy := s.busy()
	s.hold(busy)
	mean, judged := meanLog(busy, knee)
	hasRoom := least(busy) < relaxed
	for _, m := range s.live {
		if !judged || !m.hasCPU() {
			m.trim *= 1 - leak*min(dt, maxInterval).Seconds()
			continue
		}
		m.stepTrim(mean-math.Log(max(m.node.cpu.busy, knee)), hasRoom)
	}
	s.centre()
}

// busy is the CPU use of the live members, unknown where they may not be judged by.
func (s *service) busy() []float64 {
	busy := make([]float64, len(s.live))
	for i, m := range s.live {
		if busy[i] = unknown; m.hasCPU() {
			busy[i] = m.node.cpu.busy
		}
		s.held.blackout = s.held.blackout || m.node != nil && m.node.cpu.fresh && !m.hasCPU()
	}
	return busy
}

// meanLog is the mean of the logarithms of what is known, each at least the
// knee's. It is no judgement where fewer than half are known.
func meanLog(busy []float64, knee float64) (mean float64, judged bool) {
	known := 0
	for _, b := range busy {
		if isKnown(b) {
			known++
			mean += math.Log(max(b, knee))
		}
	}
	return mean / float64(max(1, known)), known > 0 && 2*known >= len(busy)
}

func (m *member) stepTrim(e float64, hasRoom bool) {
	c := &m.node.cpu
	d := 0.0
	if !m.stepped.IsZero() {
		d = min(max(0, c.sampled.Sub(m.stepped)), maxInterval).Seconds()
	}
	m.stepped = c.sampled
	m.trim = (1-leak*d)*m.trim + c.gain()*d*e
	if c.last >= saturated && hasRoom {
		m.trim -= c.overload() * d
	}
}

func (m *member) hasCPU() bool { return m.node != nil && m.node.cpu.isUsable() }

// centre keeps the mean of the trims at 0 and each within its limits.
func (s *service) centre() {
	sum := 0.0
	for _, m := range s.live {
		sum += m.trim
	}
	for _, m := range s.live {
		m.trim = min(max(m.trim-sum/float64(len(s.live)), -trimLimit), trimLimit)
	}
}
