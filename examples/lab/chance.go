package lab

import "math"

// tail is the probability below which chance is no explanation.
const tail = 1e-9

// Chance tells how far chance explains a count of n independent choices, each
// made with probability p: the least and the largest k with
//
//	P(X <= k) >= 1e-9  and  P(X >= k) >= 1e-9,  X ~ Bin(n, p),
//
// the tails being the exact sums of C(n,i) p^i (1-p)^(n-i).
func Chance(n int, p float64) (least, most int) {
	return lowest(n, p), n - lowest(n, 1-p) // P(X >= k) of p is P(X <= n-k) of 1-p
}

// lowest is the smallest k with P(X <= k) >= tail for X ~ Bin(n, p).
func lowest(n int, p float64) int {
	if p <= 0 {
		return 0
	}
	if p >= 1 {
		return n
	}
	sum := 0.0
	for k := 0; k < n; k++ {
		if sum += probability(n, k, p); sum >= tail {
			return k
		}
	}
	return n
}

// probability is C(n,k) p^k (1-p)^(n-k), for 0 < p < 1, through logarithms
// because the factors leave the range of a float64.
func probability(n, k int, p float64) float64 {
	return math.Exp(lnFactorial(n) - lnFactorial(k) - lnFactorial(n-k) +
		float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

func lnFactorial(n int) float64 {
	ln, _ := math.Lgamma(float64(n) + 1)
	return ln
}
