package main

import (
	"math"
	"slices"
)

// result is what came of one run.
type result struct {
	took     histogram // of the requests that count
	failed   int
	writes   float64 // of rules, for each agent and minute
	from, to float64
	// shares of agent 0, and the requests of each window, are kept where they are
	// to be drawn.
	drawn   bool
	shares  []shareAt
	windows []window
	// legs are the requests of the same load, on the way up and on the way down.
	legs [2]histogram
}

type shareAt struct {
	t      float64
	shares []float64
}

// window are the requests of some seconds.
type window struct{ took []float64 }

const windowLength = 5.0

func newResult(s *scenario) *result {
	return &result{from: s.warmup, to: s.end, windows: make([]window, int(s.end/windowLength)+1)}
}

func (r *result) add(w *world, took float64, failed bool) {
	if r.drawn {
		n := &r.windows[min(int(w.now/windowLength), len(r.windows)-1)]
		n.took = append(n.took, took)
	}
	for i, leg := range w.legs {
		if w.now >= leg[0] && w.now < leg[1] {
			r.legs[i].add(took)
		}
	}
	if w.now < r.from {
		return
	}
	r.took.add(took)
	if failed {
		r.failed++
	}
}

func (r *result) record(w *world, a *agent) {
	if a.entry == 0 && r.drawn {
		r.shares = append(r.shares, shareAt{w.now, slices.Clone(a.shares)})
	}
	if w.now < r.from {
		a.writes = 0 // those of the cold start do not count
	}
}

func (r *result) finish(w *world) {
	for _, a := range w.agents {
		r.writes += float64(a.writes) / float64(len(w.agents)) / ((r.to - r.from) / 60)
	}
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / math.Max(1, float64(len(v)))
}

// quantile of sorted numbers.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// histogram of times in seconds. Its quantiles are right within half a percent.
type histogram struct {
	n    int
	sum  float64
	bins [1500]int32
}

// The bins of a histogram: each is a percent wider than the one before.
const (
	leastTime = 1e-5
	binWidth  = 0.01
)

func (h *histogram) add(v float64) {
	h.n++
	h.sum += v
	h.bins[min(max(0, int(math.Log(v/leastTime)/binWidth)), len(h.bins)-1)]++
}

func (h *histogram) mean() float64 { return h.sum / math.Max(1, float64(h.n)) }

func (h *histogram) quantile(q float64) float64 {
	left := int32(q * float64(h.n))
	for i, n := range h.bins {
		if left -= n; left < 0 {
			return leastTime * math.Exp((float64(i)+0.5)*binWidth)
		}
	}
	return 0
}

// summary are the figures of a run, of several seeds their mean. Times are in ms.
// late is how much longer a request took on the way down than on the way up, at the
// same load, where there is one.
type summary struct{ mean, p95, p99, failed, writes, late float64 }

func (r *result) summary() summary {
	return summary{
		1000 * r.took.mean(), 1000 * r.took.quantile(0.95), 1000 * r.took.quantile(0.99),
		100 * float64(r.failed) / math.Max(1, float64(r.took.n)), r.writes, 1000 * (r.legs[1].mean() - r.legs[0].mean()),
	}
}

func average(all []summary) (s summary) {
	n := float64(len(all))
	for _, o := range all {
		s.mean += o.mean / n
		s.p95 += o.p95 / n
		s.p99 += o.p99 / n
		s.failed += o.failed / n
		s.writes += o.writes / n
		s.late += o.late / n
	}
	return s
}
