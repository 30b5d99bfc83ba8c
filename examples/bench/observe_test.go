package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const second = time.Second

func TestSettling(t *testing.T) {
	at := func(s ...float64) (all []step) {
		for i, v := range s {
			all = append(all, step{time.Duration(i) * second, []float64{v}})
		}
		return all
	}
	cases := []struct {
		name          string
		steps         []step
		from, to      time.Duration
		before, after float64
		took          time.Duration
	}{
		{"at once", at(0.3, 0.3, 0.1, 0.1, 0.1), 1 * second, 4 * second, 0.3, 0.1, 1 * second},
		{"in steps", at(0.3, 0.3, 0.2, 0.13, 0.115, 0.1, 0.1, 0.1), 1 * second, 7 * second, 0.3, 0.1, 3 * second},
		{"too far first", at(0.3, 0.05, 0.1, 0.1, 0.1), 0, 4 * second, 0.3, 0.1, 1 * second},
		{"upwards", at(0.1, 0.1, 0.29, 0.3, 0.3), 0, 4 * second, 0.1, 0.3, 2 * second},
		{"not at all", at(0.3, 0.3, 0.3), 0, 2 * second, 0.3, 0.3, 0},
		{"what came later does not count", at(0.3, 0.1, 0.1, 0.1, 0.1, 0.9), 0, 4 * second, 0.3, 0.1, 1 * second},
		{"the mean of the last quarter", at(0.5, 0.4, 0.3, 0.2, 0.1), 0, 4 * second, 0.5, 0.2, 3 * second},
	}
	for _, c := range cases {
		before, after, took := settling(c.steps, 0, c.from, c.to)
		if math.Abs(before-c.before) > 1e-9 || math.Abs(after-c.after) > 1e-9 || took != c.took {
			t.Errorf("%s: got %v to %v in %v, want %v to %v in %v", c.name, before, after, took, c.before, c.after, c.took)
		}
	}
}

// Shares are the mean of the agents, once all have some; a state whose rules were never
// seen, since the next came at once, was written all the same.
func TestStepsAndWrites(t *testing.T) {
	changes := []change{
		{0, 0, 1, []float64{0.5, 0.5}, nil},
		{1 * second, 1, 1, []float64{0.3, 0.7}, nil},
		{2 * second, 0, 4, []float64{0.1, 0.9}, nil},
		{9 * second, 1, 2, []float64{0.1, 0.9}, nil},
	}
	want := []step{{1 * second, []float64{0.4, 0.6}}, {2 * second, []float64{0.2, 0.8}}, {9 * second, []float64{0.1, 0.9}}}
	got := steps(changes, 2)
	for i := range got {
		for j, v := range got[i].shares {
			got[i].shares[j] = float64(int(1000*v+0.5)) / 1000
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{3, 0}, writes(changes, 2, 1*second, 9*second)); diff != "" {
		t.Error(diff)
	}
}
