package probe

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	ms    = time.Millisecond
	usual = DefaultInterval
)

// feed gives an estimate one round each interval; 0 is a failed one.
func feed(e *Estimate, start time.Time, rounds ...time.Duration) (end time.Time) {
	at := start
	for _, r := range rounds {
		at = at.Add(usual)
		if r == 0 {
			e.Failed(at)
			continue
		}
		e.Good(at, r, usual)
	}
	return at
}

// moved is an estimate of from after a round at to, by the formula alone.
func moved(from, to time.Duration, dt time.Duration) time.Duration {
	return from + time.Duration((1-math.Exp(-dt.Seconds()/30))*float64(to-from))
}

func TestEstimate(t *testing.T) {
	const unknown = time.Duration(0)
	cases := []struct {
		name   string
		smooth bool
		rounds []time.Duration
		want   time.Duration
	}{
		{"nothing", false, nil, unknown},
		{"the first is taken as it is", false, []time.Duration{2 * ms}, 2 * ms},
		{"then it follows slowly", false, []time.Duration{2 * ms, 3 * ms}, moved(2*ms, 3*ms, usual)},
		{"down too", false, []time.Duration{3 * ms, 2 * ms}, moved(3*ms, 2*ms, usual)},
		{"a spike counts for twice the estimate", false, []time.Duration{2 * ms, 900 * ms}, moved(2*ms, 4*ms, usual)},
		{"a dip counts for half of it", false, []time.Duration{2 * ms, 1}, moved(2*ms, 1*ms, usual)},
		{"a rise that two rounds agree on is there", false, []time.Duration{2 * ms, 12 * ms, 10 * ms}, 10 * ms},
		{"a fall that two rounds agree on is there", false, []time.Duration{20 * ms, 3 * ms, 4 * ms}, 4 * ms},
		{"one round between does not agree", false, []time.Duration{2 * ms, 12 * ms, 2 * ms}, moved(moved(2*ms, 4*ms, usual), 2*ms, usual)},
		{"without jumps", true, []time.Duration{2 * ms, 12 * ms, 12 * ms}, moved(moved(2*ms, 12*ms, usual), 12*ms, usual)},
		{"a failed round changes nothing", false, []time.Duration{2 * ms, 0, 3 * ms}, moved(2*ms, 3*ms, 2*usual)},
		{"three failed rounds", false, []time.Duration{2 * ms, 0, 0, 0}, unknown},
		{"three failed rounds without any before", false, []time.Duration{0, 0, 0}, unknown},
		{"one good round after them", false, []time.Duration{2 * ms, 0, 0, 0, 9 * ms}, unknown},
		{"two, and it begins anew", false, []time.Duration{2 * ms, 0, 0, 0, 9 * ms, 7 * ms}, 7 * ms},
		{"never two one after the other", false, []time.Duration{0, 0, 0, 9 * ms, 0, 9 * ms, 0}, unknown},
		{"an answer before it was asked", false, []time.Duration{-5 * ms}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := Estimate{Smooth: c.smooth}
			end := feed(&e, time.Unix(1e9, 0), c.rounds...)
			got, measured, known := e.Latency(end, usual)
			if known != (c.want != unknown) || got != c.want {
				t.Fatalf("latency = %v, known %v, want %v", got, known, c.want)
			}
			if known && measured != end {
				t.Errorf("measured at %v, want %v", measured, end)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	start := time.Unix(1e9, 0)
	at := func(rounds int) time.Time { return start.Add(time.Duration(rounds) * usual) }
	cases := []struct {
		name   string
		rounds []time.Duration
		since  time.Time
	}{
		{"two failed rounds", []time.Duration{ms, 0, 0}, time.Time{}},
		{"two and two", []time.Duration{ms, 0, 0, ms, 0, 0}, time.Time{}},
		{"three", []time.Duration{ms, 0, 0, 0}, at(4)},
		{"more, since the third", []time.Duration{ms, 0, 0, 0, 0, 0}, at(4)},
		{"one good round", []time.Duration{0, 0, 0, ms}, at(3)},
		{"not two in a row", []time.Duration{0, 0, 0, ms, 0, ms}, at(3)},
		{"two good rounds", []time.Duration{0, 0, 0, ms, ms}, time.Time{}},
		{"and one that failed", []time.Duration{0, 0, 0, ms, ms, 0}, time.Time{}},
		{"again", []time.Duration{0, 0, 0, ms, ms, 0, 0, 0}, at(8)},
	}
	for _, c := range cases {
		var e Estimate
		feed(&e, start, c.rounds...)
		if got := e.Unreachable(); got != c.since {
			t.Errorf("%s: unreachable since %v, want %v", c.name, got, c.since)
		}
	}
}

func TestEstimateExpires(t *testing.T) {
	var e Estimate
	end := feed(&e, time.Unix(1e9, 0), 2*ms, 2*ms)
	if _, _, known := e.Latency(end.Add(6*usual), usual); !known {
		t.Error("not known after six rounds")
	}
	late := end.Add(6*usual + 1)
	if _, _, known := e.Latency(late, usual); known {
		t.Error("still known after more than six rounds")
	}
	if _, _, known := e.Latency(late, 2*usual); !known {
		t.Error("not known after three rounds of twice the length")
	}
	e.Good(late, 50*ms, usual)
	if got, _, _ := e.Latency(late, usual); got != 50*ms {
		t.Errorf("the first round after that gives %v, want what it was", got)
	}
	if n, since := e.Rounds(); n != 1 || since != late {
		t.Errorf("it comes from %d rounds since %v, want 1 since %v", n, since, late)
	}
}

func TestRestart(t *testing.T) {
	var e Estimate
	end := feed(&e, time.Unix(1e9, 0), 2*ms, 2*ms, 0, 0)
	e.Restart()
	if _, _, known := e.Latency(end, usual); known {
		t.Error("known after a restart")
	}
	feed(&e, end, 0)
	if e.Unreachable().IsZero() {
		t.Error("a restart forgot two failed rounds")
	}
}

// Whatever the rounds are, an estimate lies between the least and the greatest of
// them, and a single round moves it by no more than its part of the time constant.
func TestEstimateIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Estimate{Smooth: rapid.Bool().Draw(t, "smooth")}
		at := time.Unix(1e9, 0)
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		var values []time.Duration
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(6*usual)).Draw(t, "dt")))
			value := time.Duration(rapid.Int64Range(1, int64(10*time.Second)).Draw(t, "value"))
			before, last, _ := e.Latency(at, usual)
			e.Good(at, value, usual)
			least, most = min(least, value), max(most, value)
			values = append(values, value)
			got, _, known := e.Latency(at, usual)
			if !known || got < least-1 || got > most+1 {
				t.Fatalf("estimate of %v is %v (known: %v)", values, got, known)
			}
			agrees := len(values) > 1 && (min(value, values[len(values)-2]) > 2*before || max(value, values[len(values)-2]) < before/2)
			if e.Smooth || before == 0 || agrees {
				continue
			}
			part := 1 - math.Exp(-at.Sub(last).Seconds()/30)
			if up, down := float64(got-before), float64(before-got); up > part*float64(before)+1 || down > part*float64(before)/2+2 {
				t.Fatalf("a round of %v after %v moved the estimate from %v to %v", value, at.Sub(last), before, got)
			}
		}
	})
}

func TestChoice(t *testing.T) {
	cases := []struct {
		answers       []time.Duration
		least, median time.Duration
	}{
		{[]time.Duration{3}, 3, 3},
		{[]time.Duration{9, 3}, 3, 3},
		{[]time.Duration{9, 3, 5}, 3, 5},
	}
	for _, c := range cases {
		if a, b := least(c.answers), median(c.answers); a != c.least || b != c.median {
			t.Errorf("%v: least %d, median %d, want %d and %d", c.answers, a, b, c.least, c.median)
		}
	}
}

// What is usual is known after some rounds, and not while the node is in doubt.
func TestUsual(t *testing.T) {
	cases := []struct {
		name        string
		smooth      bool
		rounds      []time.Duration
		least, most time.Duration
	}{
		{"nothing is known", false, nil, 0, 0},
		{"little is known", false, []time.Duration{3 * ms, 3 * ms}, 0, 0},
		{"always the same", false, []time.Duration{3 * ms, 3 * ms, 3 * ms}, 3250 * time.Microsecond, 3250 * time.Microsecond},
		{"never the same", false, []time.Duration{3 * ms, 4 * ms, 3 * ms, 4 * ms, 3 * ms, 4 * ms, 3 * ms, 4 * ms}, 3500 * time.Microsecond, 4 * ms},
		{"in doubt", false, []time.Duration{3 * ms, 3 * ms, 3 * ms, 0}, 0, 0},
		{"no longer in doubt", false, []time.Duration{3 * ms, 3 * ms, 3 * ms, 0, 3 * ms}, 3 * ms, 4 * ms},
		{"gone, and back", false, []time.Duration{3 * ms, 3 * ms, 3 * ms, 0, 0, 0, 3 * ms, 3 * ms}, 0, 0},
		{"of answers that have a queue in them", true, []time.Duration{3 * ms, 3 * ms, 3 * ms, 3 * ms}, 0, 0},
	}
	for _, c := range cases {
		e := Estimate{Smooth: c.smooth}
		feed(&e, time.Unix(0, 0), c.rounds...)
		if got := e.Usual(); got < c.least || got > c.most {
			t.Errorf("%s: usual is %v, want %v to %v", c.name, got, c.least, c.most)
		}
	}
}
