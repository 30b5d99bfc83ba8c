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
	at    time.Time // of the connections seen last
	ticks int
}

// conns is what the guard remembers of a node.
type conns struct {
	young   float64
	opened  uint64
	failed  uint64
	seconds float64
	// area and closed are connection-seconds and ended connections of the last
	// few seconds: their ratio is how long a connection lasts.
	area, closed float64
	cut          float64 // a logarithm, at most 0
}

// The constants of the guard. Some are for exact connection-seconds and some for
// a gauge that is polled, which needs more to be sure.
const (
	exactWindow   = 2.0 // seconds
	polledWindow  = 5.0
	prior         = 5.0 // connections by which every node is taken for a normal one
	polledPrior   = 10.0
	polledArea    = 3.0 // seconds of connections
	leastDuration = 0.001
	failureCost   = 2.0 // seconds that a failed connection counts: a fast refusal is no good answer
	standOut      = 2.5 // times the median before a node is cut
	standOutAlone = 2.0 // the same where CPU use is not known
	cutGain       = 0.5
	cutTime       = 0.5 // seconds: a cut is quick
	releaseTime   = 15.0
	learn         = 0.04 // of the trim, for each second and unit of the cut
	learnAlone    = 0.06
	firstTicks    = 5
)

// stepGuard takes in connections, and reports whether there was anything to see.
func (s *service) stepGuard(c *Connections, s0 float64, now time.Time) bool {
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
	s.count(c.Counts[NodePort{s.gathered.Protocol, s.gathered.NodePort}], dt, c.Exact, first)
	if first {
		return false
	}
	s.cut(s.durations(c.Exact, s0, now), dt)
	return true
}

// unguard lets the cuts go when connections cannot be seen any more.
func (s *service) unguard(now time.Time) bool {
	if s.guard.ticks == 0 && !s.isCut() {
		return false
	}
	if s.guard.ticks > 0 {
		s.guard = guard{at: now}
		for _, m := range s.members {
			m.conns = conns{cut: m.conns.cut}
		}
	}
	s.release(min(max(0, now.Sub(s.guard.at)), maxInterval).Seconds())
	s.guard.at = now
	return true
}

func (s *service) isCut() bool {
	return slices.ContainsFunc(s.members, func(m *member) bool { return m.conns.cut < 0 })
}

// count adds what happened since the last time to each member.
func (s *service) count(counts map[netip.AddrPort]Count, dt float64, exact, first bool) {
	sums := make(map[*member]*Count, len(s.members))
	for _, m := range s.members {
		sums[m] = &Count{}
	}
	for i := range s.endpoints {
		c := counts[s.gathered.Endpoints[i].AddrPort()]
		sum := sums[s.endpoints[i].member]
		sum.Young += max(0, c.Young)
		sum.Opened += c.Opened
		sum.Failed += c.Failed
		sum.Seconds += c.Seconds
	}
	for _, m := range s.members {
		m.conns.count(sums[m], dt, exact, first)
	}
}

func (g *conns) count(c *Count, dt float64, exact, first bool) {
	young := float64(c.Young)
	opened, failed, seconds := grown(c.Opened, g.opened), grown(c.Failed, g.failed), c.Seconds-g.seconds
	closed := max(0, opened-(young-g.young))
	g.young, g.opened, g.failed, g.seconds = young, c.Opened, c.Failed, c.Seconds
	if first {
		return
	}
	window := polledWindow
	if exact {
		window = exactWindow
	} else {
		seconds = young * dt
	}
	if !(seconds >= 0) || math.IsInf(seconds, 0) {
		seconds = 0 // a counter that began anew
	}
	d := math.Exp(-dt / window)
	g.area = g.area*d + seconds + failureCost*failed
	g.closed = g.closed*d + closed
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
	fill(latency)
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
	durations := make([]float64, len(s.live))
	for i, m := range s.live {
		durations[i] = max(0, (m.conns.area-latency[i]*m.conns.closed+n0*normal)/(m.conns.closed+n0)) + s0
	}
	return durations
}

// fill gives the unknown the median of the known, or 0.
func fill(v []float64) {
	var known []float64
	for _, x := range v {
		if isKnown(x) {
			known = append(known, x)
		}
	}
	stand := 0.0
	if len(known) > 0 {
		stand = median(known)
	}
	for i, x := range v {
		if !isKnown(x) {
			v[i] = stand
		}
	}
}

// cut moves the cuts to what the durations ask for: down at once, up slowly. What
// is cut for long goes into the trims.
func (s *service) cut(durations []float64, dt float64) {
	if durations == nil {
		s.release(dt)
		return
	}
	h, k := standOut, learn
	if !s.hasCPU() {
		h, k = standOutAlone, learnAlone
	}
	normal := lowerMedian(durations, s.bases())
	for i, m := range s.live {
		want := min(max(cutGain*math.Log(h*normal/durations[i]), -trimLimit), 0)
		time := releaseTime
		if want < m.conns.cut {
			time = cutTime
		}
		m.conns.cut += (1 - math.Exp(-dt/time)) * (want - m.conns.cut)
		m.trim += k * dt * m.conns.cut
	}
	s.centre()
}

// hasCPU reports whether the trims also follow CPU use.
func (s *service) hasCPU() bool {
	known := 0
	for _, m := range s.live {
		if m.hasCPU() {
			known++
		}
	}
	return 2*known >= len(s.live)
}

// release lets the cuts go.
func (s *service) release(dt float64) {
	for _, m := range s.members {
		m.conns.cut *= math.Exp(-dt / releaseTime)
		if m.conns.cut > -1e-3 {
			m.conns.cut = 0
		}
	}
}
