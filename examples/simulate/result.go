package main

import (
	"math"
	"slices"
)

// result is what came of one run.
type result struct {
	took     []float64 // seconds, of the requests that count
	failed   int
	writes   float64 // of rules, for each agent and minute
	from, to float64
	shares   []shareAt // of agent 0
	windows  []window
	// late is how much longer a request took on the way down than on the way up,
	// at the same load, where there is one.
	late float64
	// reduced is the summary of a run of which nothing else is left.
	reduced *summary
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

func (r *result) add(t, took float64, failed bool) {
	w := &r.windows[min(int(t/windowLength), len(r.windows)-1)]
	w.took = append(w.took, took)
	if t < r.from {
		return
	}
	r.took = append(r.took, took)
	if failed {
		r.failed++
	}
}

func (r *result) record(w *world, a *agent) {
	if a.entry == 0 {
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
	if len(w.legs) == 2 {
		r.late = r.between(w.legs[1][0], w.legs[1][1]) - r.between(w.legs[0][0], w.legs[0][1])
	}
	slices.Sort(r.took)
}

func (r *result) mean() float64 { return mean(r.took) }

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

// between is the mean response time from one time to another.
func (r *result) between(from, to float64) float64 {
	var took []float64
	for i := int(from / windowLength); i < int(to/windowLength); i++ {
		took = append(took, r.windows[i].took...)
	}
	return mean(took)
}

// summary are the figures of a run, of several seeds their mean. Times are in ms.
type summary struct{ mean, p95, p99, failed, writes, late float64 }

// reduce leaves the summary alone: a run has some hundred thousand requests.
func (r *result) reduce() {
	s := r.summary()
	*r = result{reduced: &s}
}

func (r *result) summary() summary {
	if r.reduced != nil {
		return *r.reduced
	}
	return summary{
		1000 * r.mean(), 1000 * quantile(r.took, 0.95), 1000 * quantile(r.took, 0.99),
		100 * float64(r.failed) / math.Max(1, float64(len(r.took))), r.writes, 1000 * r.late,
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
