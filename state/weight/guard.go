package weight

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

// guard is the fast loop of a ServicePort: it compares how long connections stay
// open on each node and cuts the shares of those that stand out. It sees a node
// that lost its capacity in a second or two, where CPU use that comes through
// Prometheus takes most of a minute.
type guard struct {
	at           time.Time // of the connections seen last
	ticks        int
	open, opened float64 // smoothed number, and rate a second
	idle         bool    // there was nothing to see, and nothing is left of before
}

// conns is what the guard remembers of a node.
type conns struct {
	count, before Count
	// fresh are connections that were opened since the time before.
	fresh float64
	// area and closed are connection-seconds and ended connections of the last
	// few seconds: their ratio is how long a connection lasts.
	area, closed float64
	// failed are those of the closed ones that were refused or not answered. A node
	// that gets few connections for it is judged by a longer time, too.
	failed, longClosed, longFailed float64
	// broken is whether a cut is, or still comes back from, one of a node that
	// fails: that says nothing about what it can take.
	broken bool
	// falls is whether the cut got deeper when it was looked at last.
	falls bool
	// cut and learned are logarithms, at most 0. What is learned lasts longer.
	cut, learned float64
}

// The constants of the guard. Some are for exact connection-seconds and some for
// a gauge that is polled, which needs more to be sure; some for where CPU use is
// not known, so that the guard has to find capacities alone.
const (
	exactWindow   = 2.0 // seconds
	polledWindow  = 3.0
	prior         = 5.0 // connections by which every node is taken for a normal one
	polledPrior   = 10.0
	polledArea    = 3.0 // seconds of connections
	leastDuration = 0.001
	failureCost   = 2.0 // seconds that a failed connection counts: a fast refusal is no good answer
	standOut      = 3.0 // times the median before a node is cut
	standOutAlone = 2.0
	cutGain       = 1.0
	cutGainAlone  = 0.5
	cutTime       = 0.5 // seconds: a cut is quick
	releaseTime   = 8.0
	releaseAlone  = 15.0
	learnAlone    = 0.06 // for each second and unit of the cut
	forgetTime    = 600.0
	forgetFast    = 30.0 // for a node that is faster than normal, and where trims do the same
	firstTicks    = 5
	failWindow    = 10.0
	leastFailed   = 2.5
	failLimit     = 3 * trimLimit // of the cut of a node that does not serve at all
)

// stepGuard takes in connections, and reports whether there was anything to see.
// unchanged is whether they are known to be as they were at the last step.
func (s *service) stepGuard(c *Connections, unchanged bool, s0 float64, now time.Time) bool {
	if c == nil || len(s.live) == 0 {
		return s.unguard(now)
	}
	if !c.At.After(s.guard.at) {
		return false
	}
	first := s.guard.ticks == 0
	dt := min(c.At.Sub(s.guard.at), maxInterval).Seconds()
	s.guard.at = c.At
	s.guard.ticks++
	counts := c.Counts[NodePort{s.gathered.Protocol, s.gathered.NodePort}]
	if s.guard.idle && (unchanged || len(counts) == 0) {
		return false // as most ports are most of the time
	}
	s.count(counts, dt, c.Exact, first)
	if first {
		return false
	}
	s.countStock(dt)
	s.cut(s.durations(c.Exact, s0, now), dt)
	s.guard.idle = (len(counts) == 0 || c.Change != 0) && s.isQuiet()
	return true
}

// isQuiet reports whether nothing is left of connections and cuts.
func (s *service) isQuiet() bool {
	return s.guard.open < leftStock && !slices.ContainsFunc(s.members, func(m *member) bool {
		return m.conns.count.Open > 0 || m.conns.count.Young > 0 || m.conns.area > 1e-6 || m.conns.closed > 1e-6 || m.conns.longClosed > 1e-6 || m.conns.factor() < 1
	})
}

// unguard lets the cuts go when connections cannot be seen any more.
func (s *service) unguard(now time.Time) bool {
	if s.guard.ticks == 0 && !s.isCut() {
		return false
	}
	if s.guard.ticks > 0 {
		s.guard = guard{at: now}
		for _, m := range s.members {
			m.conns = conns{cut: m.conns.cut, learned: m.conns.learned}
		}
	}
	if !s.guard.at.IsZero() { // else these are the cuts of an earlier run
		s.release(min(max(0, now.Sub(s.guard.at)), maxInterval).Seconds())
	}
	s.guard.at = now
	return true
}

func (s *service) isCut() bool {
	return slices.ContainsFunc(s.members, func(m *member) bool { return m.conns.factor() < 1 })
}

// count adds what happened since the last time to each member.
func (s *service) count(counts map[netip.AddrPort]Count, dt float64, exact, first bool) {
	for _, m := range s.members {
		m.conns.before, m.conns.count = m.conns.count, Count{}
	}
	for i := range s.endpoints {
		s.endpoints[i].member.conns.count.add(counts[s.gathered.Endpoints[i].AddrPort()])
	}
	if first {
		return
	}
	for _, m := range s.members {
		m.conns.grow(dt, exact)
	}
}

func (c *Count) add(d Count) {
	c.Young += max(0, d.Young)
	c.Open += max(0, d.Open)
	c.Opened += d.Opened
	c.Failed += d.Failed
	c.Seconds += d.Seconds
}

func (g *conns) grow(dt float64, exact bool) {
	c, before := g.count, g.before
	g.fresh = grown(c.Opened, before.Opened)
	closed := max(0, g.fresh-float64(c.Young-before.Young))
	window, area := polledWindow, float64(c.Young)*dt
	if exact {
		window, area = exactWindow, c.Seconds-before.Seconds
	}
	if !(area >= 0) || math.IsInf(area, 0) {
		area = 0 // a counter that began anew
	}
	d := math.Exp(-dt / window)
	failed := grown(c.Failed, before.Failed)
	g.area = g.area*d + area + failureCost*failed
	g.closed = g.closed*d + closed
	g.failed = g.failed*d + failed
	d = math.Exp(-dt / failWindow)
	g.longClosed = g.longClosed*d + closed
	g.longFailed = g.longFailed*d + failed
}

// grown is how much a counter grew; 0 if it began anew.
func grown(now, before uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now - before)
}

// durations are how long requests take on each live node, as far as it can be
// told; nil if it cannot. The way there is not the node's fault and is left out,
// and each node is taken for a normal one by as much as n0 connections say.
func (s *service) durations(exact bool, s0 float64, now time.Time) []float64 {
	area, closed, over := 0.0, 0.0, 0.0
	latency := s.latencies(now)
	fill(s.scratch, latency)
	for i, m := range s.live {
		area += m.conns.area
		closed += m.conns.closed
		over += m.conns.area - latency[i]*m.conns.closed
	}
	if closed < 1 || s.guard.ticks < firstTicks {
		return nil
	}
	n0 := prior
	if !exact {
		n0 = max(polledPrior, polledArea/max(area/closed, leastDuration))
	}
	normal := max(0, over) / closed
	durations := s.scratch.floats(len(s.live))
	for i, m := range s.live {
		durations[i] = max(0, (m.conns.area-latency[i]*m.conns.closed+n0*normal)/(m.conns.closed+n0)) + s0
	}
	return durations
}

// fill gives the unknown the median of the known, or 0.
func fill(r *scratch, v []float64) {
	known := r.floats(len(v))[:0]
	for _, x := range v {
		if isKnown(x) {
			known = append(known, x)
		}
	}
	stand := 0.0
	if len(known) > 0 {
		stand = r.median(known)
	}
	for i, x := range v {
		if !isKnown(x) {
			v[i] = stand
		}
	}
}

// cut moves the cuts to what the durations ask for: down at once, up slowly.
func (s *service) cut(durations []float64, dt float64) {
	if durations == nil {
		s.release(dt)
		return
	}
	h, gain, release, learn := standOut, cutGain, releaseTime, 0.0
	if !s.hasCPU() {
		h, gain, release, learn = standOutAlone, cutGainAlone, releaseAlone, learnAlone
	}
	normal := lowerMedian(durations, s.bases())
	for i, m := range s.live {
		want := min(max(gain*(math.Log(h*normal/durations[i])+s.doubtOf(m)), -trimLimit), 0)
		lesson := learn
		if m.conns.isBroken() {
			lesson = 0
		}
		if m.conns.fails() {
			want = -failLimit
		}
		m.conns.move(want, dt, release)
		forget := forgetTime
		if learn == 0 || durations[i] < normal {
			forget = forgetFast
		}
		m.conns.learn(lesson, forget, dt)
	}
}

func (g *conns) move(want, dt, release float64) {
	if g.falls = want < g.cut; g.falls {
		release = cutTime
	}
	g.cut = sensible(g.cut + (1-math.Exp(-dt/release))*(want-g.cut))
}

// learn is for where CPU use is not known: trims follow the cuts otherwise.
func (g *conns) learn(gain, forget, dt float64) {
	g.learned = sensible(within(g.learned+dt*(gain*g.cut-g.learned/forget), -trimLimit, 0))
}

// sensible ends what goes on for ever.
func sensible(logarithm float64) float64 {
	if logarithm > -1e-3 {
		return 0
	}
	return logarithm
}

// factor is what remains of a share.
func (g *conns) factor() float64 { return exp(max(g.cut+g.learned, min(g.cut, -trimLimit))) }

// fails reports whether most connections fail, and enough of them to be sure.
func (g *conns) fails() bool {
	return g.failed > leastFailed && 2*g.failed > g.closed || g.longFailed > leastFailed && 2*g.longFailed > g.longClosed
}

// isBroken is to be asked once for each look.
func (g *conns) isBroken() bool {
	g.broken = g.fails() || g.broken && g.cut < -0.1
	return g.broken
}

// fallen is what remains of the floor of a node that does not serve at all.
func (g *conns) fallen() float64 { return exp(min(g.cut+trimLimit, 0)) }

// hasCPU reports whether trims can be had.
func (s *service) hasCPU() bool {
	known := 0
	for _, m := range s.live {
		if m.hasCPU() {
			known++
		}
	}
	return 2*known >= len(s.live)
}

// release lets the cuts go, and in time what was learned.
func (s *service) release(dt float64) {
	for _, m := range s.members {
		m.conns.move(0, dt, releaseTime)
		m.conns.learn(0, forgetTime, dt)
	}
}
