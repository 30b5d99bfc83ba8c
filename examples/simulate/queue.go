package main

import "math"

// patience is how long a client waits for an answer, in seconds.
const patience = 5.0

// queue is a node: some cores that serve one line, first come first served. A
// client that gave up while it stood in line takes no core.
//
// When a request will be served is known as soon as it comes, since nobody goes
// ahead of it; so a queue needs no events of its own.
type queue struct {
	free  []float64 // when each core is next free
	speed func(t float64) float64
	left  func(t float64) int // how many cores there are
	// busy is how many core-seconds were worked in each second.
	busy []float64
	// done counts the requests that were answered in each second.
	done []float64
}

func newQueue(cores int, left func(float64) int, speed func(float64) float64, seconds int) *queue {
	return &queue{free: make([]float64, cores), left: left, speed: speed, busy: make([]float64, seconds+60), done: make([]float64, seconds+60)}
}

// serve takes in a request that is work seconds of work at speed 1. It returns
// when the answer is there; late is one that nobody waits for any more.
func (q *queue) serve(t, work float64) (end float64, late bool) {
	core := 0
	for i, f := range q.free[:q.left(t)] {
		if f < q.free[core] {
			core = i
		}
	}
	start := max(t, q.free[core])
	if start > t+patience {
		return t + patience, true
	}
	end = start + work/q.speed(start)
	q.free[core] = end
	q.work(start, end)
	if end > t+patience {
		return t + patience, true
	}
	if i := int(end); i < len(q.done) {
		q.done[i]++
	}
	return end, false
}

// wait is how long a request that came now would stand in line.
func (q *queue) wait(t float64) float64 {
	least := math.Inf(1)
	for _, f := range q.free[:q.left(t)] {
		least = min(least, f)
	}
	return max(0, least-t)
}

func (q *queue) work(start, end float64) {
	for i := int(start); float64(i) < end && i < len(q.busy); i++ {
		q.busy[i] += min(end, float64(i+1)) - max(start, float64(i))
	}
}

// use is which part of the cores worked between two times, in whole seconds.
func (q *queue) use(from, to float64) float64 {
	first, last := max(0, int(from)), int(to)
	if last <= first {
		return 0
	}
	sum := 0.0
	for i := first; i < last; i++ {
		sum += q.busy[i]
	}
	return min(1, sum/float64(last-first)/float64(q.left((from+to)/2)))
}

// answered is how many requests a second were answered between two times.
func (q *queue) answered(from, to float64) float64 {
	first, last := max(0, int(from)), int(to)
	if last <= first {
		return 0
	}
	sum := 0.0
	for i := first; i < last; i++ {
		sum += q.done[i]
	}
	return sum / float64(last-first)
}
