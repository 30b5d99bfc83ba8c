package main

import "math"

// scenario is a cluster and what happens to it. Times are in seconds.
type scenario struct {
	name, about string
	nodes       []nodeSpec
	entry       []float64 // how much of the traffic each entry node gets
	load        float64   // of all capacity at the beginning
	service     float64   // mean work of a request at speed 1
	warmup, end float64   // what is measured is in between
	// rtt is the time from an entry node to a node and back.
	rtt func(entry, node int) float64
	// rate is a factor of the load over time; nil is 1. legs are two times of the
	// same load, on the way up and on the way down.
	rate func(t float64) float64
	legs [][2]float64
	// speed of a node over time; stolen is the part of its CPU that others use.
	cores  func(node int, t float64) int // nil is all the time those of nodes
	speed  func(node int, t float64) float64
	stolen func(node int, t float64) float64
	fault  func(node int, t float64) fault
	// requests and think are of connections that are kept open: mean number, and
	// mean seconds between an answer and the next request. 1 request closes.
	requests, think float64
	// together is whether all agents tick at the same times.
	together bool
	// restart is when agent 0 starts anew; 0 is never.
	restart float64
	plot    bool
}

type nodeSpec struct {
	cores int
	speed float64
	pods  int
}

// fault is what is wrong with a node.
type fault uint8

const (
	sound   fault = iota
	refuses       // connections are refused at once
	swallow       // nobody answers
	errors5       // an error comes back at once
	dead          // neither connections nor probes are answered
)

func (s *scenario) capacity() float64 {
	sum := 0.0
	for _, n := range s.nodes {
		sum += float64(n.cores) * n.speed
	}
	return sum
}

func (s *scenario) pods() float64 {
	sum := 0.0
	for _, n := range s.nodes {
		sum += float64(n.pods)
	}
	return sum
}

// share is what a node has by its pods alone.
func (s *scenario) share(node int) float64 { return float64(s.nodes[node].pods) / s.pods() }

func lan(int, int) float64 { return 0.001 }

func even(n int) []float64 {
	e := make([]float64, n)
	for i := range e {
		e[i] = 1
	}
	return e
}

// ofCores are nodes with as many, and one pod each.
func ofCores(counts ...int) []nodeSpec {
	var nodes []nodeSpec
	for _, c := range counts {
		nodes = append(nodes, nodeSpec{cores: c, speed: 1, pods: 1})
	}
	return nodes
}

// scenarios are A to H of the notes, and more.
func scenarios() []scenario {
	unequal := scenario{
		nodes: ofCores(8, 5, 4, 3), entry: even(4), load: 0.85, service: 0.04, warmup: 120, end: 420, rtt: lan,
	}
	with := func(name, about string, base scenario, change func(*scenario)) scenario {
		base.name, base.about = name, about
		change(&base)
		return base
	}
	ten := scenario{
		nodes: ofCores(8, 8, 6, 6, 4, 4, 2, 2, 1, 1), entry: even(5), load: 0.45, service: 0.02, warmup: 120, end: 420, rtt: lan,
	}
	loss := with("C", "the strongest node loses half its capacity at 120 s, load 70 %", unequal, func(s *scenario) {
		s.nodes, s.load, s.warmup = ofCores(8, 4, 4, 4), 0.7, 120
		s.cores = func(node int, t float64) int {
			if t >= 120 {
				return 4
			}
			return s.nodes[node].cores
		}
		s.plot = true
	})
	geo := scenario{
		nodes: ofCores(4, 4, 4, 4, 4, 4), entry: even(3), load: 0.6, service: 0.02, warmup: 120, end: 420,
		rtt: func(entry, node int) float64 {
			if node/2 == entry {
				return 0.0005
			}
			return 0.02
		},
	}
	kept := func(s *scenario) { s.requests, s.think = 20, 0.5 }
	return append([]scenario{
		with("A", "four unequal nodes, load 85 %", unequal, func(s *scenario) { s.plot = true }),
		with("A0", "the same, the cold start counted", unequal, func(s *scenario) { s.warmup, s.end = 0, 180 }),
		with("B1", "ten nodes of 1 to 8 cores with a pod each, load 45 %", ten, func(*scenario) {}),
		with("B2", "ten nodes with as many pods as cores, load 70 %", ten, func(s *scenario) {
			s.nodes, s.load = podsAsCores(s.nodes), 0.7
		}),
		loss,
		with("C2", "the strongest node loses half its speed at 120 s, load 70 %", loss, func(s *scenario) {
			s.cores = nil
			s.speed = func(node int, t float64) float64 {
				if node == 0 && t >= 120 {
					return 0.5
				}
				return 1
			}
		}),
		with("D", "eleven equal backends, one 12 times as slow from 60 to 90 s", ten, func(s *scenario) {
			s.nodes, s.entry = ofCores(64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64), even(2)
			s.service, s.load, s.warmup, s.end = 0.167, 0.237, 45, 105
			s.speed = func(node int, t float64) float64 {
				if node == 0 && t >= 60 && t < 90 {
					return 1. / 12
				}
				return 1
			}
		}),
		with("E1", "three places with two nodes each, 20 ms between them, load 60 %", geo, func(*scenario) {}),
		with("E2", "the same, one place has most of the traffic", geo, func(s *scenario) { s.entry, s.plot = []float64{6, 1, 1}, true }),
		with("F", "four unequal nodes, load 5 %", unequal, func(s *scenario) { s.load, s.end = 0.05, 720 }),
		with("H", "four unequal nodes, load 85 %, all agents at the same moment", unequal, func(s *scenario) { s.together = true }),
		with("R", "four unequal nodes, the agent with 44 % of the traffic restarts at 200 s", unequal, func(s *scenario) {
			s.entry, s.restart = []float64{4, 2, 2, 1}, 200
		}),
		with("staircase", "four unequal nodes, load 30, 60, 90, 60, 30 %", unequal, func(s *scenario) {
			s.load, s.warmup, s.end, s.plot = 0.9, 60, 900, true
			s.entry = []float64{4, 2, 2, 1}
			s.legs = [][2]float64{{240, 360}, {600, 720}}
			s.rate = func(t float64) float64 { return []float64{1. / 3, 2. / 3, 1, 2. / 3, 1. / 3}[min(4, int(t/180))] }
		}),
		with("uneven", "four unequal nodes, uneven entry, load 70 %", unequal, func(s *scenario) { s.entry, s.load = []float64{8, 4, 2, 1}, 0.7 }),
		with("refused", "one of four nodes refuses connections from 120 s on", unequal, func(s *scenario) {
			s.nodes, s.load, s.fault = ofCores(5, 5, 5, 5), 0.5, fromThen(3, 120, refuses)
		}),
		with("swallowed", "one of four nodes answers nothing from 120 s on", unequal, func(s *scenario) {
			s.nodes, s.load, s.fault = ofCores(5, 5, 5, 5), 0.5, fromThen(3, 120, swallow)
		}),
		with("errors", "one of four nodes answers errors at once from 120 s on", unequal, func(s *scenario) {
			s.nodes, s.load, s.fault = ofCores(5, 5, 5, 5), 0.5, fromThen(3, 120, errors5)
		}),
		with("noisy", "four nodes whose CPU others use now and then, load 55 %", unequal, func(s *scenario) {
			s.nodes, s.load = ofCores(5, 5, 5, 5), 0.55
			s.stolen = neighbours
			s.speed = func(node int, t float64) float64 { return 1 - neighbours(node, t) }
		}),
		with("kept", "four unequal nodes, connections kept open, load 70 %", unequal, func(s *scenario) { kept(s); s.load = 0.7 }),
		with("kept-F", "the same, load 20 %", unequal, func(s *scenario) { kept(s); s.load = 0.2 }),
		with("kept-C", "C with connections kept open", loss, kept),
	}, small()...)
}

func podsAsCores(nodes []nodeSpec) []nodeSpec {
	var all []nodeSpec
	for _, n := range nodes {
		n.pods = n.cores
		all = append(all, n)
	}
	return all
}

func fromThen(node int, at float64, f fault) func(int, float64) fault {
	return func(n int, t float64) fault {
		if n == node && t >= at {
			return f
		}
		return sound
	}
}

// neighbours take 55 % of a node's CPU for 20 s in every two minutes or so, each
// node at its own times; at most two nodes at a time.
func neighbours(node int, t float64) float64 {
	if math.Mod(t+30*float64(node), 120+7*float64(node)) < 20 {
		return 0.55
	}
	return 0
}
