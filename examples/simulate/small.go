package main

import "math"

// small are scenarios of few connections: what examples/bench does in a kernel. With 23
// connections a second for each agent, what it sees in a second or two is mostly chance.
func small() []scenario {
	var all []scenario
	add := func(name, about string, from, to float64, change func(*scenario)) {
		s := scenario{
			name: name, about: about, entry: even(3), load: 0.55, service: 0.0236, warmup: from, end: to,
			nodes: []nodeSpec{{1, 1, 1}, {1, 0.75, 1}, {1, 0.75, 1}, {1, 0.5, 1}},
			rtt:   func(int, int) float64 { return 0.0002 },
		}
		change(&s)
		all = append(all, s)
	}
	dip := func(s *scenario) {
		s.plot = true
		s.speed = func(node int, t float64) float64 {
			if node == 0 && t >= 120 && t < 155 {
				return 0.3
			}
			return 1
		}
	}
	death := func(s *scenario) {
		s.fault = func(node int, t float64) fault {
			if node == 2 && t >= 120 && t < 132 {
				return dead
			}
			return sound
		}
	}
	add("small", "four small nodes with 70 connections a second, load 55 %", 60, 360, func(*scenario) {})
	add("small-noisy", "the same, other things take half a node's CPU for a second, every five or so", 60, 360, func(s *scenario) {
		s.stolen = bursts
		s.speed = func(node int, t float64) float64 { return 1 - bursts(node, t) }
	})
	add("slow", "the small ones, the strongest has 30 % of its speed from 120 to 155 s", 120, 155, dip)
	add("fast-again", "what comes after that", 155, 185, dip)
	add("dead", "the small ones, one is dead from 120 to 132 s", 120, 132, death)
	add("alive-again", "what comes after that", 132, 162, death)
	return all
}

// bursts take half of a node's CPU for a second now and then.
func bursts(node int, t float64) float64 {
	if math.Mod(t+1.3*float64(node), 5+0.37*float64(node)) < 1 {
		return 0.5
	}
	return 0
}
