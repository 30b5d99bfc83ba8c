package lab_test

import (
	"math"
	"testing"

	"weft/examples/lab"
)

// The tails of small distributions can be written down: 0.5^30 is 9.3e-10, and
// 31 * 0.5^30 is 2.9e-8.
func TestChance(t *testing.T) {
	cases := []struct {
		name        string
		n           int
		p           float64
		least, most int
	}{
		{"nothing may come", 1000, 0, 0, 0},
		{"all must come", 1000, 1, 1000, 1000},
		{"too few to tell", 29, 0.5, 0, 29},
		{"just enough to tell", 30, 0.5, 1, 29},
		{"rare: P(X >= 3) is 1.6e-10, P(X >= 2) is 5e-7", 10, 0.0001, 0, 2},
		{"two thousand, a quarter", 2000, 0.25, 387, 619},
	}
	for _, c := range cases {
		least, most := lab.Chance(c.n, c.p)
		if least != c.least || most != c.most {
			t.Errorf("%s: lab.Chance(%d, %v) = %d to %d, want %d to %d", c.name, c.n, c.p, least, most, c.least, c.most)
		}
	}
}

// All probabilities of a distribution sum to 1, so the logarithms lose nothing
// that matters beside the bound.
func TestProbabilitiesSumToOne(t *testing.T) {
	for _, n := range []int{1, 10, 2000, 100_000} {
		for _, p := range []float64{0.0001, 0.1, 0.5, 0.99} {
			sum := 0.0
			for k := range n + 1 {
				sum += lab.Probability(n, k, p)
			}
			if math.Abs(sum-1) > 1e-8 {
				t.Errorf("n %d, p %v: sum = %v", n, p, sum)
			}
		}
	}
}
