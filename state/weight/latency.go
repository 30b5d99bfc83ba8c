package weight

import "math"

// unknown stands for a number that was not measured.
var unknown = math.NaN()

func isKnown(v float64) bool { return !math.IsNaN(v) }

// latencyFactors are ((s0+least)/(s0+latency))^beta: 1 for the nearest node. The
// numbers are seconds.
//
// Without s0 a node at 0.1 ms would get ten times what one at 1 ms gets, for a
// difference that nobody notices in a request of 5 ms.
func latencyFactors(r *scratch, latency []float64, s0, beta float64) []float64 {
	nearest := least(latency)
	return factorsOf(r, latency, func(l float64) float64 { return math.Pow((s0+nearest)/(s0+l), beta) })
}

// localFactors are 1 for the nodes that are about as near as the nearest, and far
// for all others.
func localFactors(r *scratch, latency []float64, far float64) []float64 {
	nearest := least(latency)
	return factorsOf(r, latency, func(l float64) float64 {
		if l <= nearest+nearby {
			return 1
		}
		return far
	})
}

// factorsOf gives a node that is not known the median of the others. Where fewer
// than half are known nobody is judged.
func factorsOf(r *scratch, latency []float64, factor func(float64) float64) []float64 {
	factors, known := r.floats(len(latency)), r.floats(len(latency))[:0]
	for i, l := range latency {
		if isKnown(l) {
			factors[i] = factor(l)
			known = append(known, factors[i])
		}
	}
	stand := 1.0
	judged := len(known) > 0 && 2*len(known) >= len(latency)
	if judged {
		stand = r.median(known)
	}
	for i, l := range latency {
		if !judged || !isKnown(l) {
			factors[i] = stand
		}
	}
	return factors
}

// least is the smallest of the known numbers; infinite without any.
func least(v []float64) float64 {
	l := math.Inf(1)
	for _, x := range v {
		if isKnown(x) {
			l = min(l, x)
		}
	}
	return l
}
