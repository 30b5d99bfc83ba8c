package main

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"weft/state"
	"weft/state/weight"
)

// policy is a way to choose shares, ours or another's.
type policy struct {
	name, about string
	http        bool // probes are requests, not echoes
	balancer    func(*world, *agent) balancer
}

// balancer sets the shares of an agent. tick returns the seconds to the next one.
type balancer interface {
	tick(*world, *agent) float64
}

func policies() []policy {
	weft := func(name, about string, change func(*engine)) policy {
		e := engine{cpu: fromPrometheus, policy: state.PolicyLatencyCPU}
		change(&e)
		return policy{name: name, about: about, http: e.http, balancer: func(w *world, a *agent) balancer { return e.begin(w, a) }}
	}
	return []policy{
		{"equal", "every pod the same, as kube-proxy does", false, func(*world, *agent) balancer { return fixed{} }},
		{"oracle", "the capacities, known beforehand and fixed", false, func(w *world, a *agent) balancer { return newOracle(w, a) }},
		{"foresight", "the capacities at every moment, which nobody can know", false, func(*world, *agent) balancer { return foresight{} }},
		{"proto1", "((1-cpu)/latency)^1 of the earlier prototype", true, func(w *world, _ *agent) balancer { return newPrototype(w, 1) }},
		{"proto.3", "the same with the exponent 0.3", true, func(w *world, _ *agent) balancer { return newPrototype(w, 0.3) }},
		{"wrr", "qps/cpu, as gRPC's weighted round robin", false, func(*world, *agent) balancer { return &roundRobin{} }},
		{"leastconn", "fewest open connections of this entry node, which no stateless rule can do", false, func(*world, *agent) balancer { return leastConnections{} }},
		weft("latency", "weft by latency alone", func(e *engine) { e.policy, e.cpu = state.PolicyLatency, fromNowhere }),
		weft("cpu", "weft by CPU use alone, of Prometheus", func(e *engine) { e.policy = state.PolicyCPU }),
		weft("prom", "weft, CPU use of Prometheus, no guard", func(*engine) {}),
		weft("peer", "weft, CPU use of the peers, no guard", func(e *engine) { e.cpu = fromPeers }),
		weft("prom+guard", "weft, CPU use of Prometheus", func(e *engine) { e.guard = exact }),
		weft("peer+guard", "weft, CPU use of the peers", func(e *engine) { e.cpu, e.guard = fromPeers, exact }),
		weft("prom+polled", "weft, CPU use of Prometheus, connections from a polled gauge", func(e *engine) { e.guard = polled }),
		weft("peer+polled", "weft, CPU use of the peers, connections from a polled gauge", func(e *engine) { e.cpu, e.guard = fromPeers, polled }),
		weft("guard", "weft without CPU use", func(e *engine) { e.cpu, e.guard = fromNowhere, exact }),
		weft("local", "weft by the policy local, CPU use of the peers", func(e *engine) { e.policy, e.cpu, e.guard = state.PolicyLocal, fromPeers, exact }),
		weft("http", "weft with http probes, CPU use of the peers, no guard", func(e *engine) { e.cpu, e.http = fromPeers, true }),
	}
}

// engine drives the real one.
type engine struct {
	policy state.Policy
	cpu    source
	guard  sight
	http   bool

	w      *world
	agent  *agent
	engine *weight.Engine
	st     *state.State
	before *state.State
}

type (
	source uint8
	sight  uint8
)

const (
	fromNowhere source = iota
	fromPrometheus
	fromPeers
)

const (
	blind sight = iota
	exact
	polled
)

// begin is an engine with a ServicePort that has the scenario's pods.
func (e engine) begin(w *world, a *agent) *engine {
	e.w, e.agent = w, a
	e.start()
	p := &state.ServicePort{Namespace: "default", Name: "web", Protocol: state.TCP, NodePort: 30000}
	e.st = &state.State{Node: "entry", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, ServicePorts: []*state.ServicePort{p}}
	for i, n := range w.nodes {
		node := state.Node{Name: fmt.Sprintf("node-%02d", i), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}
		e.st.Nodes = append(e.st.Nodes, node)
		for j := range n.pods {
			p.Endpoints = append(p.Endpoints, state.Endpoint{
				Address: netip.AddrFrom4([4]byte{10, 1, byte(i), byte(j)}), Port: 80, Node: node.Name, Share: 1 / w.pods(),
			})
		}
	}
	return &e
}

func (e *engine) start() {
	c := weight.Default()
	c.Policy, c.Guard = e.policy, e.guard != blind
	name := fmt.Sprintf("entry-%d", e.agent.entry)
	if e.w.together {
		name = "entry"
	}
	e.engine = weight.New(c, name)
}

// restart leaves only what the state file has.
func (e *engine) restart() { e.start() }

func (e *engine) tick(w *world, a *agent) float64 {
	e.measure(w, a)
	next, wait := e.engine.Step(at(w.now), weight.Inputs{State: e.st, Before: e.before, Connections: e.connections(w, a)})
	e.before = next
	e.before.Written = at(w.now)
	for i := range a.shares {
		a.shares[i] = 0
	}
	p := next.ServicePorts[0]
	for i := range p.Endpoints {
		a.shares[p.Endpoints[i].Address.As4()[2]] += p.Endpoints[i].Share
	}
	if e.guard != blind {
		return min(wait.Seconds(), w.jitter(1))
	}
	return max(wait.Seconds(), 0.001)
}

// measure enters what the agent knows of the nodes.
func (e *engine) measure(w *world, a *agent) {
	for i := range e.st.Nodes {
		n := &e.st.Nodes[i]
		n.Latency, n.CPU, n.Unreachable = nil, nil, a.latency[i].Unreachable()
		if l, measured, ok := a.latency[i].Latency(at(w.now), 5*time.Second); ok {
			n.Latency = &state.Latency{Seconds: l.Seconds(), Measured: measured, Source: "peer"}
			if e.http {
				n.Latency.Source = "http"
			}
		}
		switch s := a.polled[i]; {
		case e.cpu == fromPeers && a.peers[i].at >= 0:
			n.CPU = &state.CPU{Ratio: a.peers[i].busy, Measured: at(a.peers[i].at), Source: "peer"}
		case e.cpu == fromPrometheus && s.at >= 0:
			n.CPU = &state.CPU{Ratio: s.busy, Measured: at(s.at), Source: "prometheus"}
		}
	}
}

// connections are what conntrack would show. All pods of a node stand as its first.
func (e *engine) connections(w *world, a *agent) *weight.Connections {
	if e.guard == blind {
		return nil
	}
	counts := map[netip.AddrPort]weight.Count{}
	for i := range a.counts {
		n := &a.counts[i]
		counts[netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i), 0}), 80)] = weight.Count{
			Young: n.young, Open: n.open, Opened: n.opened, Failed: n.failed, Seconds: n.connectionSeconds(w.now),
		}
	}
	return &weight.Connections{
		At: at(w.now), Exact: e.guard == exact,
		Counts: map[weight.NodePort]map[netip.AddrPort]weight.Count{{Protocol: state.TCP, Port: 30000}: counts},
	}
}

// fixed leaves the shares as they are.
type fixed struct{}

func (fixed) tick(*world, *agent) float64 { return 10 }

// foresight gives every node what it can serve now.
type foresight struct{}

func (foresight) tick(w *world, a *agent) float64 {
	sum := 0.0
	for i, q := range w.queues {
		a.shares[i] = float64(q.left(w.now)) * q.speed(w.now)
		if w.faultOf(i) != sound {
			a.shares[i] = 0
		}
		sum += a.shares[i]
	}
	for i := range a.shares {
		a.shares[i] /= sum
	}
	return 0.25
}

func newOracle(w *world, a *agent) balancer {
	for i, n := range w.nodes {
		a.shares[i] = float64(n.cores) * n.speed / w.capacity()
	}
	return fixed{}
}

// prototype is the score of the earlier prototype, spared its whole milliseconds
// and its rounding: averages of a fifth of each new value, every ten seconds.
type prototype struct {
	exponent     float64
	latency, cpu []float64
}

func newPrototype(w *world, exponent float64) *prototype {
	return &prototype{exponent, make([]float64, len(w.nodes)), make([]float64, len(w.nodes))}
}

func (p *prototype) tick(w *world, a *agent) float64 {
	score := make([]float64, len(a.shares))
	sum := 0.0
	for i := range score {
		sample := a.polled[i]
		if sample.at < 0 {
			return w.jitter(10)
		}
		smooth(&p.latency[i], a.round(w, i))
		smooth(&p.cpu[i], sample.busy)
		if p.cpu[i] < 0.95 {
			score[i] = math.Pow((1-p.cpu[i])/p.latency[i], p.exponent)
		}
		sum += score[i]
	}
	if sum > 0 {
		for i := range score {
			a.shares[i] = score[i] / sum
		}
	}
	return w.jitter(10)
}

func smooth(v *float64, x float64) {
	if *v == 0 {
		*v = x
	}
	*v += 0.2 * (x - *v)
}

// roundRobin weighs by requests a second over CPU use, both of the last ten
// seconds, as reported out of band. A node without a report gets the mean.
type roundRobin struct{ reported float64 }

func (r *roundRobin) tick(w *world, a *agent) float64 {
	if w.now < 10 || w.now-r.reported < 9.5 {
		return 1
	}
	r.reported = w.now
	sum, known := 0.0, 0.0
	weights := make([]float64, len(a.shares))
	for i, q := range w.queues {
		if qps, use := q.answered(w.now-10, w.now), w.cpu(i, w.now-10, w.now); qps > 0 && use > 0 {
			weights[i] = qps / use
			sum += weights[i]
			known++
		}
	}
	if known < 2 {
		return 1
	}
	total := sum + sum/known*(float64(len(weights))-known)
	for i := range weights {
		if weights[i] == 0 {
			weights[i] = sum / known
		}
		a.shares[i] = weights[i] / total
	}
	return 1
}

// leastConnections chooses among the nodes with the fewest open connections.
type leastConnections struct{}

func (leastConnections) tick(*world, *agent) float64 { return 10 }

func (leastConnections) choose(w *world, a *agent) int {
	least, n, chosen := math.MaxInt, 0, 0
	for i := range a.counts {
		if open := a.counts[i].open; open < least {
			least, n = open, 0
		} else if open > least {
			continue
		}
		if n++; w.chance.IntN(n) == 0 { // each of those that are equal with the same chance
			chosen = i
		}
	}
	return chosen
}
