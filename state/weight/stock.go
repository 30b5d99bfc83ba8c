package weight

import "math"

// This file is about connections that are kept open. What a node has to do is then
// what the connections want that it has, and a share decides only where new ones
// go: after a change it would take as long as connections last until the load
// follows. So new connections go the other way for a while, as far as the stock is
// from where the shares want it. That also holds where a node's connections live
// longer because it is slow, and pile up there.

const (
	keptLife     = 3.0  // seconds, from which on connections count as kept
	leastStock   = 20.0 // open connections, below which the stock is left to chance
	lifeWindow   = 30.0 // seconds
	restockTime  = 5.0  // in which the stock should be right
	restockLimit = 3.0
	restockWorth = 0.1 // part of the new connections that is worth another rule
	restockLooks = 3   // only every so manieth look may bring one, without a cut
	// calm is how many standard deviations of the stock are put down to chance
	// while no node is above the knee; near hot none are, since a busy node feels
	// them.
	calm = 2.5
	hot  = 0.9
)

func (s *service) countStock(dt float64) {
	open, opened := 0.0, 0.0
	for _, m := range s.live {
		open += float64(m.conns.count.Open)
		opened += m.conns.fresh
	}
	a := 1 - math.Exp(-dt/lifeWindow)
	if s.guard.ticks <= firstTicks {
		a = 0.5
	}
	s.guard.open += a * (open - s.guard.open)
	s.guard.opened += a * (opened/dt - s.guard.opened)
}

// life is how long connections last, in seconds; 0 where they are not kept. It is
// Little's law: how many there are is how many come times how long they stay.
func (s *service) life() float64 {
	if s.guard.ticks <= 2*firstTicks || s.guard.open < leastStock || s.guard.opened <= 0 {
		return 0
	}
	if life := s.guard.open / s.guard.opened; life >= keptLife {
		return life
	}
	return 0
}

// restock turns shares of all connections into shares of the new ones.
func (s *service) restock(p []float64, c Config) {
	life := s.life()
	open := 0.0
	for _, m := range s.live {
		open += float64(m.conns.count.Open)
	}
	if life == 0 || open == 0 {
		return
	}
	gain := min(life/restockTime, restockLimit)
	deviations := s.chance(c.Knee)
	for i, m := range s.live {
		missing := p[i] - float64(m.conns.count.Open)/open
		noise := deviations * math.Sqrt(p[i]*(1-p[i])/open)
		if over := math.Abs(missing) - noise; over > 0 {
			p[i] = max(0, p[i]+gain*math.Copysign(over, missing))
		}
	}
	normalise(p)
	s.bound(p, c)
}

// chance is how many standard deviations of the stock are left as they are. To even
// them out takes a rule change every few seconds, which pays only where requests
// wait for each other.
func (s *service) chance(knee float64) float64 {
	busiest := unknown
	for _, m := range s.live {
		if m.hasCPU() && !(m.node.cpu.ratio <= busiest) {
			busiest = m.node.cpu.ratio
		}
	}
	if !isKnown(busiest) {
		return calm / 2
	}
	return calm * within((hot-busiest)/max(hot-knee, 0.01), 0, 1)
}

// isWorth reports whether it is worth another rule that d, a part of the new
// connections, goes elsewhere. A stock need not be right at once.
func (s *service) isWorth(d float64, c Config) bool {
	if s.life() == 0 {
		return d >= c.Hysteresis*s.releaseWorth()
	}
	return d >= max(c.Hysteresis, restockWorth) && (s.isCut() || s.guard.ticks%restockLooks == 0)
}
