package weight

import (
	"math"
	"slices"
	"time"

	"weft/state"
)

// node is what is known of a node, from all that was measured about it.
type node struct {
	latency latency
	cpu     cpu
	cores   int // 0 while they are not known
	known   known
	// out is whether the node does not answer, and that counts.
	out bool
	// returned is when the node last answered again; zero if it always did.
	returned time.Time
	seen     time.Time
}

// latency follows the estimates of a prober. They are smooth already, but on a noisy
// network or machine still never the same twice.
type latency struct {
	seconds  float64 // that nodes are judged by
	variance float64 // of the estimates about it
	http     bool
	measured time.Time // of the newest
	first    time.Time // when the first of an unbroken row was seen
	rounds   int       // in that row
}

// observe takes in a measurement; nil is none. s0 is the time that a request takes, in
// seconds.
func (l *latency) observe(m *state.Latency, now time.Time, s0 float64) {
	if m == nil || !isFresh(m.Measured, now, latencyExpiry) {
		*l = latency{}
		return
	}
	l.http = m.Source == sourceHTTP
	switch {
	case l.rounds == 0:
		l.first, l.seconds, l.rounds = now, m.Seconds, 1
	case !m.Measured.Equal(l.measured):
		l.rounds++
		l.follow(m.Seconds, m.Measured.Sub(l.measured).Abs().Seconds(), s0)
	}
	l.measured = m.Measured
}

// mostNoise is the part of the time that a request takes up to which a difference can be
// noise.
const mostNoise = 0.1

// follow goes to an estimate, dt seconds after the one before: at once if it differs by
// more than two standard deviations of those before, slowly if it may be noise, which
// would be a new share of every ServicePort each time. Answers of HTTP hold the time in a
// queue, of which any difference counts.
func (l *latency) follow(estimate, dt, s0 float64) {
	difference := estimate - l.seconds
	isNoise := !l.http && math.Abs(difference) < min(2*math.Sqrt(l.variance), mostNoise*(s0+l.seconds))
	part := 1 - math.Exp(-dt/noiseTime)
	l.variance += part * (difference*difference - l.variance)
	if isNoise {
		l.seconds += part * difference
	} else {
		l.seconds = estimate
	}
}

// value is the latency if it may be judged by.
func (l *latency) value(now time.Time) float64 {
	if l.rounds < matureRounds || now.Sub(l.first) < matureAge {
		return unknown
	}
	return l.seconds
}

// isYoung reports whether there will be a value soon: the first rounds may have
// met a cold cache, and just after a start there may be none yet.
func (l *latency) isYoung(now, begun time.Time) bool {
	if l.rounds == 0 {
		return now.Sub(begun) < grace
	}
	return !isKnown(l.value(now))
}

// isFresh reports whether a measurement is at most as old as expiry. One from the
// future is as fresh as one from now, as long as it may be only a clock that is a
// little ahead.
func isFresh(measured, now time.Time, expiry time.Duration) bool {
	age := now.Sub(measured)
	return age <= expiry && age >= -maxClockSkew
}

// cpu is the CPU use of a node.
type cpu struct {
	ratio   float64 // of the newest sample
	mean    float64 // of the samples of the last while
	sampled time.Time
	samples int
	spacing float64 // seconds from one sample to the next, smoothed
	peer    bool
	fresh   bool
}

// observe takes in a sample; nil is none. Only one with another time is new: a
// poll that finds the same again has learnt nothing.
func (c *cpu) observe(m *state.CPU, now time.Time) {
	if c.fresh = false; m == nil || !isFresh(m.Measured, now, cpuExpiry) {
		return
	}
	switch since := m.Measured.Sub(c.sampled).Abs(); {
	case c.samples == 0 || since > cpuExpiry:
		*c = cpu{samples: 1}
	case since > 0:
		c.samples++
		if c.spacing == 0 {
			c.spacing = since.Seconds()
		}
		c.spacing += 0.3 * (since.Seconds() - c.spacing)
	}
	c.average(m)
	c.ratio, c.sampled, c.peer, c.fresh = m.Ratio, m.Measured, m.Source == sourcePeer, true
}

// average takes a new sample into the mean.
func (c *cpu) average(m *state.CPU) {
	if c.samples == 1 {
		c.mean = m.Ratio
		return
	}
	dt := max(0, m.Measured.Sub(c.sampled).Seconds())
	c.mean += (1 - math.Exp(-dt/busyTime)) * (m.Ratio - c.mean)
}

// isUsable reports whether the node may be judged by its CPU use.
func (c *cpu) isUsable() bool { return c.fresh && c.samples >= matureSamples }

// observe takes in what was measured, and decides which nodes are out.
func (e *Engine) observe(nodes []state.Node, now time.Time) {
	out, asked := 0, 0
	for i := range nodes {
		n := &nodes[i]
		known := e.node(n.Name, now)
		cores := known.cores
		known.observe(n, now, e.config.RequestTime.Seconds())
		e.other = e.other || known.cores != cores
		if !n.Unreachable.IsZero() {
			out++
		}
		if !n.Unreachable.IsZero() || n.Latency != nil {
			asked++
		}
	}
	// Where most do not answer, it is rather this node that cannot ask.
	e.doubt = 2*out > asked
	e.turned = false
	for i := range nodes {
		n := e.nodes[nodes[i].Name]
		e.turned = n.turn(!nodes[i].Unreachable.IsZero(), e.doubt, now) || e.turned
	}
}

func (e *Engine) node(name string, now time.Time) *node {
	n := e.nodes[name]
	if n == nil {
		n = &node{}
		e.nodes[name], e.other = n, true
	}
	n.seen = now
	return n
}

func (n *node) observe(m *state.Node, now time.Time, s0 float64) {
	n.cpu.observe(m.CPU, now)
	if m.Cores > 0 {
		n.cores = m.Cores
	}
	if m.Unreachable.IsZero() {
		n.latency.observe(m.Latency, now, s0)
	} else {
		n.latency = latency{}
	}
}

// turn notes whether the node is out, and reports whether that is new.
func (n *node) turn(unreachable, doubt bool, now time.Time) bool {
	out := unreachable && !doubt
	if n.out == out {
		return false
	}
	if n.out = out; !unreachable {
		n.returned = now
	}
	return true
}

// sane are the nodes without the measurements that are none: one wrong number
// from outside must neither steer nor keep the state from being written.
func sane(nodes []state.Node) []state.Node {
	cleaned := false
	for i := range nodes {
		l, c := saneLatency(nodes[i].Latency), saneCPU(nodes[i].CPU)
		if l == nodes[i].Latency && c == nodes[i].CPU {
			continue
		}
		if !cleaned {
			nodes, cleaned = slices.Clone(nodes), true
		}
		nodes[i].Latency, nodes[i].CPU = l, c
	}
	return nodes
}

func saneLatency(l *state.Latency) *state.Latency {
	if l == nil || !(l.Seconds > 0) || math.IsInf(l.Seconds, 0) {
		return nil
	}
	return l
}

// saneCPU allows for a rate that was a little above 1, as rates of counters are.
func saneCPU(c *state.CPU) *state.CPU {
	switch {
	case c == nil || !(c.Ratio >= 0 && c.Ratio <= 1.05):
		return nil
	case c.Ratio > 1:
		full := *c
		full.Ratio = 1
		return &full
	}
	return c
}
