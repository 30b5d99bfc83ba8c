package main

import (
	"math"
	"slices"
	"time"

	"weft/state/probe"
)

// agent is the weft of an entry node, or what stands for it: it sees what an agent
// would see, and its balancer makes shares of it.
type agent struct {
	entry    int
	balancer balancer
	shares   []float64 // by node
	writes   int
	latency  []probe.Estimate
	peers    []sample // of the last round of probes
	polled   []sample // of the last poll of Prometheus
	rounds   int
	due      float64 // the next round of all nodes
	counts   []count
	young    []*conn // in the order in which they were opened; old and closed ones among them
}

// count is what conntrack shows of a node's connections.
type count struct {
	open           int
	young          int
	opened, failed uint64
	since          float64 // sum of the times at which the young were opened
	seconds        float64 // of those that are not young any more
}

func newAgent(w *world, entry int) *agent {
	n := len(w.nodes)
	a := &agent{
		entry: entry, shares: make([]float64, n), counts: make([]count, n), latency: make([]probe.Estimate, n),
		peers: make([]sample, n), polled: make([]sample, n),
	}
	for i := range n {
		a.shares[i] = w.share(i)
		a.latency[i].Smooth = w.policy.http
		a.peers[i].at, a.polled[i].at = -1, -1
	}
	a.balancer = w.policy.balancer(w, a)
	return a
}

// choose is what numgen does: a random number finds its node.
func (a *agent) choose(w *world, random float64) int {
	if chooser, ok := a.balancer.(interface{ choose(*world, *agent) int }); ok {
		return chooser.choose(w, a)
	}
	for i, s := range a.shares {
		if random -= s; random < 0 {
			return i
		}
	}
	return len(a.shares) - 1
}

// tick lets the balancer work, and returns the time to the next one.
func (a *agent) tick(w *world) float64 {
	for len(a.young) > 0 && (!a.young[0].counted || a.young[0].opened <= w.now-10) {
		a.age(a.young[0], w.now)
		a.young = a.young[1:]
	}
	if a.entry == 0 && w.restart > 0 && w.now >= w.restart && w.now < w.restart+1 {
		w.restart = 0
		a.forget(w)
	}
	before := append([]float64(nil), a.shares...)
	wait := a.balancer.tick(w, a)
	for i := range before {
		if before[i] != a.shares[i] {
			a.writes++
			break
		}
	}
	w.result.record(w, a)
	return wait
}

// forget is a restart: only the state file stays, if the balancer has one.
func (a *agent) forget(w *world) {
	for i := range a.latency {
		a.latency[i] = probe.Estimate{Smooth: w.policy.http}
		a.peers[i].at, a.polled[i].at = -1, -1
	}
	if restarter, ok := a.balancer.(interface{ restart() }); ok {
		restarter.restart()
		return
	}
	for i := range a.shares {
		a.shares[i] = w.share(i)
	}
	a.balancer = w.policy.balancer(w, a)
}

func (a *agent) open(c *conn) {
	n := &a.counts[c.node]
	n.open++
	n.young++
	n.opened++
	n.since += c.opened
	c.counted = true
	a.young = append(a.young, c)
}

func (a *agent) close(c *conn, now float64) {
	n := &a.counts[c.node]
	n.open--
	if c.failed {
		n.failed++
	}
	a.age(c, now)
}

// age ends the youth of a connection.
func (a *agent) age(c *conn, now float64) {
	if !c.counted {
		return
	}
	c.counted = false
	n := &a.counts[c.node]
	n.young--
	n.since -= c.opened
	n.seconds += min(now-c.opened, 10)
}

// connectionSeconds of the young, up to now.
func (n *count) connectionSeconds(now float64) float64 {
	return n.seconds + float64(n.young)*now - n.since
}

// probe is a round: up to three probes of every node, of which the least counts, or the
// middle one of three requests. Every other round polls Prometheus. Nodes in doubt are
// asked again soon. It returns the time to the next round.
func (a *agent) probe(w *world) float64 {
	all := w.now >= a.due
	if all {
		if a.rounds++; a.rounds%2 == 0 {
			copy(a.polled, w.scrapes)
		}
	}
	doubt := false
	for i := range a.latency {
		if all || a.latency[i].InDoubt() {
			a.ask(w, i)
		}
		doubt = doubt || a.latency[i].InDoubt()
	}
	if all {
		a.due = w.now + w.jitter(probeInterval)
	}
	if doubt {
		return min(a.due-w.now, w.jitter(doubtInterval))
	}
	return a.due - w.now
}

func (a *agent) ask(w *world, node int) {
	if fault := w.faultOf(node); fault == dead || fault != sound && w.policy.http {
		a.latency[node].Failed(at(w.now))
		return
	}
	a.latency[node].Good(at(w.now), time.Duration(a.round(w, node)*float64(time.Second)), 5*time.Second)
	a.peers[node] = w.usage(node)
}

func (a *agent) round(w *world, node int) float64 {
	const probes = 3
	if w.policy.http {
		values := make([]float64, probes)
		for i := range values {
			values[i] = w.way(a.entry, node) + w.queues[node].wait(w.now) + w.service*w.chance.ExpFloat64()/w.queues[node].speed(w.now)
		}
		slices.Sort(values)
		return values[1]
	}
	least, usual := math.Inf(1), a.latency[node].Usual().Seconds()
	for i := 0; i < probes && least > usual; i++ {
		least = min(least, w.way(a.entry, node))
	}
	return least
}
