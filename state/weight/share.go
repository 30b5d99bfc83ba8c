package weight

import (
	"math"
	"slices"
)

// This file has the arithmetic of shares: lists of numbers of at least 0, one for
// each node, with the sum 1.

// normalise divides by the sum. It reports whether there is one: without, the
// list stays as it is.
func normalise(p []float64) bool {
	most := 0.0
	for _, v := range p {
		most = max(most, v)
	}
	if !(most > 0) || math.IsInf(most, 0) {
		return false
	}
	sum := 0.0
	for i := range p {
		p[i] /= most // a sum of the numbers as such may be infinite
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return true
}

// exp is that of a logarithm which is 0 for most nodes most of the time.
func exp(logarithm float64) float64 {
	if logarithm == 0 {
		return 1
	}
	return math.Exp(logarithm)
}

// distance is the total variation of two lists of shares: the part of the
// connections that goes elsewhere, 0 to 1.
func distance(p, q []float64) float64 {
	d := 0.0
	for i := range p {
		d += math.Abs(p[i] - q[i])
	}
	return d / 2
}

// toward goes from p to target, but no further than limit, and returns which part
// of the way that was.
func toward(p, target []float64, limit float64) (part float64) {
	part = 1
	if d := distance(p, target); d > limit {
		part = limit / d
	}
	for i := range p {
		p[i] += part * (target[i] - p[i])
	}
	return part
}

// bound brings shares between low and high, and keeps their proportions where it
// can. The sum of the shares is 1, that of low at most 1 and that of high at least. It
// is the way in which CSS resolves flexible lengths: all are scaled; if the bounds then
// take more than they give, the ones that are too large are settled, else the ones that
// are too small; and again with the rest.
func bound(r *scratch, p, low, high []float64) {
	settled, want := r.floats(len(p)), r.clone(p)
	for range 2*len(p) + 1 {
		scale(p, want, settled)
		excess, some := 0.0, false
		for i := range p {
			if v := min(max(p[i], low[i]), high[i]); v != p[i] && settled[i] == 0 {
				excess += p[i] - v
				some = true
			}
		}
		if !some {
			return
		}
		for i := range p {
			switch {
			case settled[i] > 0:
			case excess >= 0 && p[i] > high[i]:
				p[i], settled[i] = high[i], 1
			case excess <= 0 && p[i] < low[i]:
				p[i], settled[i] = low[i], 1
			}
		}
	}
}

// scale gives what the settled ones leave to the others, as they want it.
func scale(p, want, settled []float64) {
	left, sum := 1.0, 0.0
	for i := range p {
		if settled[i] > 0 {
			left -= p[i]
		} else {
			sum += want[i]
		}
	}
	if !(sum > 0) {
		return
	}
	for i := range p {
		if settled[i] == 0 {
			p[i] = max(0, left) * want[i] / sum
		}
	}
}

// middle is the median of some numbers that are sorted; of two in the middle, the
// mean.
func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// lowerMedian is the least of the numbers v that have, with all below them, half of
// the weight. Numbers without weight do not count; without any, it is 0.
func lowerMedian(v, weight []float64) float64 {
	order := make([]int, 0, len(v))
	total := 0.0
	for i := range v {
		if weight[i] > 0 {
			order = append(order, i)
			total += weight[i]
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return 0
	})
	sum := 0.0
	for _, i := range order {
		if sum += weight[i]; sum >= total/2*(1-1e-9) {
			return v[i]
		}
	}
	return 0
}
