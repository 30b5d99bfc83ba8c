package labtest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"weft/examples/lab"
)

// Within fails the test when the counts cannot have come from the shares. want
// holds the share of each endpoint, 0 to 1, with a sum of 1.
//
// Each count k of n connections is compared with the binomial distribution of
// its own share p: it fails when
//
//	P(X <= k) < 1e-9  or  P(X >= k) < 1e-9,  X ~ Bin(n, p),
//
// where the tails are exact sums (see [lab.Chance]). So a good ruleset fails
// once in 500 million comparisons of an endpoint, and a run may compare 500
// endpoints and still fail by chance less than once in a million runs
// (500 * 2 * 1e-9 = 1e-6 by Boole's inequality, which holds although the counts
// of one comparison depend on each other). A wrong ruleset is found when it is
// off by about six standard deviations, 6 sqrt(p(1-p)/n): at 2,000 connections
// and a share of a quarter 6 percentage points, at 20,000 two. An endpoint with
// a share of 0, or one that want does not name, fails with its first connection.
func Within(t testing.TB, got map[string]int, want map[string]float64) {
	t.Helper()
	for _, problem := range Outside(got, want) {
		t.Error(problem)
	}
}

// Outside tells every endpoint whose count is out of the bounds of [Within],
// sorted by name.
func Outside(got map[string]int, want map[string]float64) []string {
	return OutsideBoth(got, want, want)
}

// OutsideBoth is Outside while shares change from one to the other: each
// connection may follow either, so a count is bounded by the lesser of the two
// shares from below, and by the greater from above.
func OutsideBoth(got map[string]int, before, after map[string]float64) []string {
	n, names := 0, map[string]bool{}
	for name, k := range got {
		n += k
		names[name] = true
	}
	for _, want := range []map[string]float64{before, after} {
		sum := 0.0
		for name, p := range want {
			sum += p
			names[name] = true
		}
		if math.Abs(sum-1) > 1e-6 {
			return []string{fmt.Sprintf("nothing to compare: shares that sum to %v", sum)}
		}
	}
	if n == 0 {
		return []string{"nothing to compare: no connections"}
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		k, low, high := got[name], min(before[name], after[name]), max(before[name], after[name])
		least, _ := lab.Chance(n, low)
		_, most := lab.Chance(n, high)
		if k < least || k > most {
			problems = append(problems, fmt.Sprintf("%s got %d of %d connections (%.1f %%), want %s %%: chance alone keeps it within %d to %d",
				name, k, n, 100*float64(k)/float64(n), percent(low, high), least, most))
		}
	}
	return problems
}

func percent(low, high float64) string {
	if low == high {
		return fmt.Sprintf("%.1f", 100*low)
	}
	return fmt.Sprintf("%.1f to %.1f", 100*low, 100*high)
}
