package weight

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The mean is that of a second-by-second look.
func TestPastMean(t *testing.T) {
	begin := time.Date(2025, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	rapid.Check(t, func(t *rapid.T) {
		var p past
		if got := p.mean(at(0), at(1)); got != 0 {
			t.Fatalf("got %v of nothing", got)
		}
		values := rapid.SliceOfN(rapid.Float64Range(-2, 2), 1, 200).Draw(t, "values")
		for s, v := range values {
			if s > 0 && rapid.Bool().Draw(t, "same") {
				values[s] = values[s-1] + rapid.Float64Range(-leastNote, leastNote).Draw(t, "nearly")
				v = values[s]
			}
			p.note(at(s), v)
		}
		first := int(time.Duration(p.marks[0].at - begin.UnixNano()).Seconds())
		from := rapid.IntRange(first, len(values)).Draw(t, "from")
		to := rapid.IntRange(from+1, len(values)+5).Draw(t, "to")
		sum := 0.0
		for s := from; s < to; s++ {
			sum += values[min(s, len(values)-1)]
		}
		if got, want := p.mean(at(from), at(to)), sum/float64(to-from); math.Abs(got-want) > leastNote+1e-6 {
			t.Fatalf("from %d to %d: got %v, want %v", from, to, got, want)
		}
		if got, want := p.mean(at(-9), at(-3)), values[first]; first == 0 && math.Abs(got-want) > leastNote+1e-6 {
			t.Fatalf("before the first: got %v, want %v", got, want)
		}
	})
}

func TestBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10).Draw(t, "n")
		draw := func(what string, least float64) []float64 {
			v := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(least, 1), rapid.SampledFrom([]float64{1e-12, 1e12, 1})), n, n).Draw(t, what)
			normalise(v)
			return v
		}
		p, base := draw("shares", 1e-9), draw("base shares", 1e-3)
		want := append([]float64(nil), p...)
		floor, ceiling := rapid.Float64Range(0, 1).Draw(t, "floor"), rapid.Float64Range(1, 5).Draw(t, "ceiling")
		low, high := slices.Clone(base), slices.Clone(base)
		for i := range base {
			low[i] *= floor
			high[i] *= ceiling
		}
		bound(new(scratch), p, low, high)
		sum := 0.0
		for i := range p {
			sum += p[i]
			if p[i] < floor*base[i]-1e-12 || p[i] > ceiling*base[i]+1e-12 {
				t.Fatalf("%v is not within %v and %v times %v", p, floor, ceiling, base)
			}
			for j := range p { // what is free on both sides keeps its proportion
				free := func(k int) bool { return p[k] > floor*base[k]*(1+1e-9) && p[k] < ceiling*base[k]*(1-1e-9) }
				if free(i) && free(j) && math.Abs(p[i]*want[j]-p[j]*want[i]) > 1e-9*want[i]*want[j]+1e-12 {
					t.Fatalf("%d and %d of %v became %v", i, j, want, p)
				}
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("the sum of %v is %v", p, sum)
		}
	})
}
