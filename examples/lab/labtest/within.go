package labtest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
)

// tail is the probability below which chance is no explanation. Two tails of
// 1e-9 for each endpoint let a run compare 500 endpoints and still fail by chance
// less than once in a million runs (500 * 2 * 1e-9 = 1e-6; Boole's inequality,
// so it does not matter that the counts of one comparison depend on each other).
const tail = 1e-9

// Within fails the test when the counts cannot have come from the shares. want
// holds the share of each endpoint, 0 to 1, with a sum of 1.
//
// Each count is compared with the binomial distribution of its own share p
// among all n connections: it fails when
//
//	P(X <= k) < 1e-9  or  P(X >= k) < 1e-9,  X ~ Bin(n, p),
//
// where the tail is the exact sum of C(n,i) p^i (1-p)^(n-i). So a good ruleset
// fails once in 500 million comparisons of an endpoint, and a wrong one is found
// when it is off by about six standard deviations, 6 sqrt(p(1-p)/n): at 2,000
// connections and a share of a quarter 6 percentage points, at 20,000 two. An
// endpoint with a share of 0, or one that want does not name, fails with its
// first connection.
func Within(t testing.TB, got map[string]int, want map[string]float64) {
	t.Helper()
	for _, problem := range outside(got, want) {
		t.Error(problem)
	}
}

// outside tells every endpoint whose count is out of bounds, sorted by name.
func outside(got map[string]int, want map[string]float64) []string {
	n, sum := 0, 0.0
	names := map[string]bool{}
	for name, k := range got {
		n += k
		names[name] = true
	}
	for name, p := range want {
		sum += p
		names[name] = true
	}
	if n == 0 || math.Abs(sum-1) > 1e-6 {
		return []string{fmt.Sprintf("nothing to compare: %d connections, shares that sum to %v", n, sum)}
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		k, p := got[name], want[name]
		if least, most := bounds(n, p); k < least || k > most {
			problems = append(problems, fmt.Sprintf("%s got %d of %d connections (%.1f %%), want %.1f %%: chance alone keeps it within %d to %d",
				name, k, n, 100*float64(k)/float64(n), 100*p, least, most))
		}
	}
	return problems
}

// bounds are the least and the largest count whose tails are not below [tail].
func bounds(n int, p float64) (least, most int) {
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
