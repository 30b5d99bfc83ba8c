package probe

import (
	"math"
	"slices"
	"time"
)

// The constants of the estimate. Those that are counted in rounds follow the
// interval, which grows with the number of targets; see [Interval].
const (
	// timeConstant is how long an estimate takes to follow 63 % of a change.
	timeConstant = 30 * time.Second
	// failedRounds is after how many rounds without an answer, one after the
	// other, a node is unreachable, and goodRounds after how many it is back.
	failedRounds = 3
	goodRounds   = 2
	// expiryRounds is after how many intervals without a good round the latency
	// is not known any more.
	expiryRounds = 6
	// familiarRounds is how many rounds it takes to know what is usual.
	familiarRounds = 3
	// noNews is how much longer than the estimate an answer may take in any case. To the
	// factor of a request of 5 ms it is a twentieth, which moves less of the traffic than
	// is worth a rule (a fiftieth), however many nodes there are.
	noNews = 250 * time.Microsecond
	// surprise is the factor between a round and the estimate from which on one
	// round is not believed alone.
	surprise = 2
)

// Estimate is what the rounds of one node say together. The zero value knows
// nothing yet. It takes its time from the caller and is not for concurrent use.
type Estimate struct {
	// Smooth leaves out the rule for jumps, for values such as answers of HTTP,
	// which hold the time in a queue: there a fast signal makes all agents move at
	// once.
	Smooth bool

	value    time.Duration // the estimate; 0 is none
	spread   time.Duration // how far rounds are from it, smoothed like it
	measured time.Time     // the last good round's time
	previous time.Duration // the last good round's value; 0 is none
	good     int           // good rounds one after the other
	failed   int           // failed rounds one after the other
	rounds   int           // good rounds since the estimate began
	since    time.Time     // when it did
	lost     time.Time     // since when the node is unreachable
}

// Good takes in a round with an answer. value must be greater than 0; one that is
// not is taken for the shortest time that there is.
func (e *Estimate) Good(at time.Time, value, interval time.Duration) {
	value = max(value, 1)
	e.failed = 0
	e.good++
	if !e.lost.IsZero() {
		if e.good < goodRounds {
			return
		}
		e.lost = time.Time{}
	}
	if e.value == 0 || e.isExpired(at, interval) {
		e.begin(at, value)
	} else {
		e.value = e.next(value, at.Sub(e.measured))
	}
	e.previous, e.measured = value, at
	e.rounds++
}

func (e *Estimate) begin(at time.Time, value time.Duration) {
	e.value, e.spread, e.since, e.rounds = value, 0, at, 0
}

// next is the estimate after a round with value, dt after the last good one.
//
// A rise or fall to more than twice or less than half is taken over when two
// rounds agree on it, as far as they agree; until then it counts for no more than
// that factor. So one spike moves the estimate by at most 1-exp(-5/30) = 15 %,
// and a real change is there after two rounds.
func (e *Estimate) next(value, dt time.Duration) time.Duration {
	a := 1 - math.Exp(-max(0, dt).Seconds()/timeConstant.Seconds())
	if !e.Smooth {
		least, most := min(value, e.previous), max(value, e.previous)
		switch {
		case least > surprise*e.value:
			return least
		case most < e.value/surprise:
			return most
		}
		value = min(max(value, e.value/surprise), surprise*e.value)
	}
	e.spread += time.Duration(a * float64((value-e.value).Abs()-e.spread))
	return max(1, e.value+time.Duration(a*float64(value-e.value)))
}

// Usual is the time up to which the first answer of a round says all that the round
// would: no longer than the estimate, give or take what rounds differ from it or what
// moves no share. It is 0 where others have to be waited for: while little is known or the
// node is in doubt, and where the value is not the least of the answers.
func (e *Estimate) Usual() time.Duration {
	if e.Smooth || e.rounds < familiarRounds || e.failed > 0 || !e.lost.IsZero() {
		return 0
	}
	return e.value + max(e.spread, noNews)
}

// Failed takes in a round without an answer.
func (e *Estimate) Failed(at time.Time) {
	e.good = 0
	e.failed++
	if e.failed >= failedRounds && e.lost.IsZero() {
		*e = Estimate{Smooth: e.Smooth, failed: e.failed, lost: at}
	}
}

// InDoubt reports whether the next round may tell that the node is gone, or that it
// is back.
func (e *Estimate) InDoubt() bool {
	if e.lost.IsZero() {
		return e.failed > 0
	}
	return e.good > 0
}

// Restart forgets the latency, because the next rounds measure something else.
// Whether the node is reachable stays.
func (e *Estimate) Restart() { e.value, e.previous = 0, 0 }

// Latency is the estimate and when its last round was. It is not known before the
// first good round, while the node is unreachable, and when the last good round
// is older than six intervals.
func (e *Estimate) Latency(now time.Time, interval time.Duration) (value time.Duration, measured time.Time, known bool) {
	if e.value == 0 || e.isExpired(now, interval) {
		return 0, time.Time{}, false
	}
	return e.value, e.measured, true
}

func (e *Estimate) isExpired(now time.Time, interval time.Duration) bool {
	return now.Sub(e.measured) > expiryRounds*interval
}

// Rounds is how many good rounds the estimate comes from, and when the first of
// them was: weights wait for some before they trust it.
func (e *Estimate) Rounds() (n int, since time.Time) { return e.rounds, e.since }

// Unreachable is since when the node is known not to answer; zero otherwise.
func (e *Estimate) Unreachable() time.Time { return e.lost }

// least is a round's value where whatever delays an answer is noise: the
// scheduling of the agents, a retransmission.
func least(answers []time.Duration) time.Duration { return slices.Min(answers) }

// median is a round's value where the delay is what is measured. Of an even
// number it is the smaller one of the two in the middle.
func median(answers []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(answers))
	return sorted[(len(sorted)-1)/2]
}
