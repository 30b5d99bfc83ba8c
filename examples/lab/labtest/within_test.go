package labtest

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWithin(t *testing.T) {
	third := map[string]float64{"a": 0.5, "b": 0.25, "c": 0.25}
	cases := []struct {
		name string
		got  map[string]int
		want map[string]float64
		tell string
	}{
		{"as asked", map[string]int{"a": 1000, "b": 500, "c": 500}, third, ""},
		{"chance", map[string]int{"a": 1060, "b": 440, "c": 500}, third, ""},
		{"equal shares", map[string]int{"a": 667, "b": 667, "c": 666}, third, "a got 667 of 2000 connections (33.4 %), want 50.0 %"},
		{"one is missing", map[string]int{"a": 1000, "b": 1000}, third, "c got 0"},
		{"a stranger", map[string]int{"a": 1000, "b": 500, "c": 500, "d": 1}, third, "d got 1"},
		{"a drained one", map[string]int{"a": 1999, "b": 1}, map[string]float64{"a": 1, "b": 0}, "b got 1"},
		{"no connection", nil, third, "nothing to compare"},
		{"shares of less than 1", map[string]int{"a": 1}, map[string]float64{"a": 0.9}, "nothing to compare"},
	}
	for _, c := range cases {
		problems := strings.Join(Outside(c.got, c.want), "\n")
		if (problems == "") != (c.tell == "") || !strings.Contains(problems, c.tell) {
			t.Errorf("%s: problems = %q, want %q", c.name, problems, c.tell)
		}
	}
}

// While shares change each connection follows the one or the other.
func TestOutsideBoth(t *testing.T) {
	before, after := map[string]float64{"a": 1. / 3, "b": 1. / 3, "c": 1. / 3}, map[string]float64{"a": 0.5, "b": 0.5}
	for _, c := range []struct {
		name string
		got  map[string]int
		tell string
	}{
		{"as before", map[string]int{"a": 400, "b": 400, "c": 400}, ""},
		{"as after", map[string]int{"a": 600, "b": 600}, ""},
		{"half of each", map[string]int{"a": 500, "b": 500, "c": 200}, ""},
		{"less than either", map[string]int{"a": 200, "b": 600, "c": 400}, "a got 200 of 1200 connections (16.7 %), want 33.3 to 50.0 %"},
		{"more than either", map[string]int{"a": 500, "b": 100, "c": 600}, "c got 600"},
		{"a stranger", map[string]int{"a": 600, "b": 600, "d": 1}, "d got 1"},
		{"no connection", nil, "nothing to compare"},
	} {
		problems := strings.Join(OutsideBoth(c.got, before, after), "\n")
		if (problems == "") != (c.tell == "") || !strings.Contains(problems, c.tell) {
			t.Errorf("%s: problems = %q, want %q", c.name, problems, c.tell)
		}
	}
}

// Chance alone stays inside. The seed is fixed, so the test always goes one way.
func TestChanceIsWithin(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]float64{"a": 0.5, "b": 0.3, "c": 0.15, "d": 0.05}
	for range 2000 {
		got := map[string]int{}
		for range 500 {
			switch x := random.Float64(); {
			case x < 0.5:
				got["a"]++
			case x < 0.8:
				got["b"]++
			case x < 0.95:
				got["c"]++
			default:
				got["d"]++
			}
		}
		if problems := Outside(got, want); problems != nil {
			t.Fatal(problems)
		}
	}
}
