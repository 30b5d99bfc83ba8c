package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// epoch is second 0 of a simulation.
var epoch = time.Date(2025, 11, 24, 12, 0, 0, 0, time.UTC)

func at(t float64) time.Time { return epoch.Add(time.Duration(t * float64(time.Second))) }

// conn is a connection through an entry node to a node.
type conn struct {
	entry, node int
	opened      float64
	left        int  // requests still to come
	counted     bool // among the young ones
	failed      bool
}

// world runs one scenario under one policy.
type world struct {
	*scenario
	policy policy
	queues []*queue
	agents []*agent
	events events
	now    float64
	// Requests and what they cost come from one source, all that a policy may
	// change in number or order from the other: so requests are the same for all.
	traffic, chance *rand.Rand
	result          *result
	scrapes         []sample // by node
	usages          []sample // of the nodes' own agents
}

// sample is a measurement of a node's CPU use.
type sample struct {
	at, busy float64
}

func newWorld(s *scenario, p policy, seed uint64) *world {
	w := &world{
		scenario: s, policy: p, traffic: rand.New(rand.NewPCG(seed, 1)), chance: rand.New(rand.NewPCG(seed, 2)),
		result: newResult(s), scrapes: make([]sample, len(s.nodes)), usages: make([]sample, len(s.nodes)),
	}
	for i, n := range s.nodes {
		left := func(t float64) int {
			if w.cores == nil {
				return n.cores
			}
			return w.cores(i, t)
		}
		w.queues = append(w.queues, newQueue(n.cores, left, func(t float64) float64 { return n.speed * w.speedOf(i, t) }, int(s.end)))
		w.scrapes[i].at, w.usages[i].at = -1, -1
		w.events.push(event{at: w.chance.Float64() * scrapeInterval, do: scrape, who: i})
	}
	for k := range s.entry {
		w.agents = append(w.agents, newAgent(w, k))
		w.events.push(event{at: w.interval(k), do: arrive, who: k})
		phase := w.chance.Float64()
		if s.together {
			phase = 0.5
		}
		w.events.push(event{at: phase, do: tick, who: k})
		w.events.push(event{at: phase * probeInterval, do: ask, who: k})
	}
	return w
}

func (w *world) speedOf(node int, t float64) float64 {
	if w.speed == nil {
		return 1
	}
	return w.speed(node, t)
}

// run lets the time pass.
func (w *world) run() *result {
	for len(w.events) > 0 && w.events[0].at < w.end {
		e := w.events.pop()
		w.now = e.at
		switch e.do {
		case arrive:
			w.arrive(e.who)
		case request:
			w.request(e.conn)
		case finish:
			w.agents[e.conn.entry].close(e.conn, w.now)
		case tick:
			w.events.push(event{at: w.now + w.agents[e.who].tick(w), do: tick, who: e.who})
		case ask:
			w.events.push(event{at: w.now + w.agents[e.who].probe(w), do: ask, who: e.who})
		case scrape:
			w.scrapes[e.who] = sample{w.now, w.cpu(e.who, w.now-scrapeInterval, w.now)}
			w.events.push(event{at: w.now + scrapeInterval, do: scrape, who: e.who})
		}
	}
	w.result.finish(w)
	return w.result
}

// interval is the time to the next connection at an entry node.
func (w *world) interval(entry int) float64 {
	rate := w.load * w.capacity() / w.service / max(1, w.requests)
	if w.rate != nil {
		rate *= w.rate(w.now)
	}
	sum := 0.0
	for _, e := range w.entry {
		sum += e
	}
	return w.traffic.ExpFloat64() / (rate * w.entry[entry] / sum)
}

func (w *world) arrive(entry int) {
	w.events.push(event{at: w.now + w.interval(entry), do: arrive, who: entry})
	c := &conn{entry: entry, node: w.agents[entry].choose(w, w.chance.Float64()), opened: w.now, left: 1}
	if w.requests > 1 {
		for w.traffic.Float64() > 1/w.requests {
			c.left++
		}
	}
	w.agents[entry].open(c)
	w.request(c)
}

// request sends one request on a connection, and says when what comes next does.
func (w *world) request(c *conn) {
	c.left--
	work := w.service * w.traffic.ExpFloat64()
	way := w.way(c.entry, c.node)
	end, failed := w.answer(c, work)
	took := end - w.now + way
	if failed && end-w.now >= patience {
		took = patience + way
	}
	w.result.add(w, took, failed)
	switch {
	case failed || c.left == 0:
		c.failed = failed && w.faultOf(c.node) != sound && w.faultOf(c.node) != errors5
		w.events.push(event{at: w.now + took, do: finish, conn: c})
	default:
		w.events.push(event{at: w.now + took + w.think*w.traffic.ExpFloat64(), do: request, conn: c})
	}
}

func (w *world) answer(c *conn, work float64) (end float64, failed bool) {
	switch w.faultOf(c.node) {
	case refuses:
		return w.now, true
	case swallow, dead:
		return w.now + patience, true
	case errors5:
		return w.now + 0.001, true
	}
	return w.queues[c.node].serve(w.now, work)
}

func (w *world) faultOf(node int) fault {
	if w.fault == nil {
		return sound
	}
	return w.fault(node, w.now)
}

// way is a round trip: a tenth of jitter, and one in fifty takes five times as long.
func (w *world) way(entry, node int) float64 {
	rtt := w.rtt(entry, node) * (1 + 0.1*w.chance.Float64())
	if w.chance.Float64() < 0.02 {
		rtt *= 5
	}
	return rtt
}

// cpu is the CPU use of a node as its kernel shows it, with a little noise.
func (w *world) cpu(node int, from, to float64) float64 {
	stolen := 0.0
	if w.stolen != nil {
		stolen = w.stolen(node, (from+to)/2)
	}
	use := stolen + (1-stolen)*w.queues[node].use(from, to)
	return min(1, math.Abs(use+0.01*w.chance.NormFloat64()))
}

// usage is what a node's own agent says of its CPU use: the mean of the last whole
// window, the same for all who ask.
func (w *world) usage(node int) sample {
	if to := math.Floor(w.now/usageWindow) * usageWindow; to > 0 && to != w.usages[node].at {
		w.usages[node] = sample{to, w.cpu(node, to-usageWindow, to)}
	}
	return w.usages[node]
}

// jitter is a time, a tenth more or less; none where all agents tick together.
func (w *world) jitter(d float64) float64 {
	if w.together {
		return d
	}
	return d * (0.9 + 0.2*w.chance.Float64())
}

const (
	scrapeInterval = 15.0
	pollInterval   = 10.0
	probeInterval  = 5.0
	doubtInterval  = 1.0
	usageWindow    = 2.0
)
