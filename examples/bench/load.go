package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// patience is how long a client waits for its answer.
const patience = 5 * time.Second

// order is what a load generator is told.
type order struct {
	// Start is when the first request may be due.
	Start   time.Time
	Seed    uint64
	Rate    float64       // requests a second
	Idle    time.Duration // with a tenth of the rate, at first
	Length  time.Duration
	Targets []string // asked in turns
}

// due are the times after the start at which requests are due: a Poisson process, as
// that of many clients who do not know of each other.
func (o order) due() []time.Duration {
	random := rand.New(rand.NewPCG(o.Seed, 1))
	var due []time.Duration
	for t := 0.0; ; {
		t += random.ExpFloat64() / o.Rate
		at := time.Duration(t * float64(time.Second))
		if at >= o.Length {
			return due
		}
		if at < o.Idle && random.Float64() >= idleness {
			continue
		}
		due = append(due, at)
	}
}

// schedule paces vegeta by the times at which requests are due.
type schedule struct {
	start time.Time
	due   []time.Duration
}

// Pace implements vegeta.Pacer.
func (s schedule) Pace(_ time.Duration, sent uint64) (wait time.Duration, stop bool) {
	if sent >= uint64(len(s.due)) {
		return 0, true
	}
	return max(0, time.Until(s.start.Add(s.due[sent]))), false
}

// Rate implements vegeta.Pacer.
func (s schedule) Rate(time.Duration) float64 {
	return float64(len(s.due)) / s.due[len(s.due)-1].Seconds()
}

// generate is the load generator's process. Its argument is an [order] as JSON; it
// writes the results in vegeta's own encoding.
func generate(_ context.Context, args []string, stdout io.Writer) error {
	var o order
	if len(args) != 1 {
		return errors.New("load: expected an order")
	}
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	s := schedule{o.Start, o.due()}
	if len(s.due) == 0 {
		return errors.New("load: no request is due")
	}
	attacker := vegeta.NewAttacker(vegeta.KeepAlive(false), vegeta.HTTP2(false), vegeta.Timeout(patience), vegeta.Workers(32))
	var targets []vegeta.Target
	for _, url := range o.Targets {
		targets = append(targets, vegeta.Target{Method: "GET", URL: url})
	}
	go untilStdinEnds(func() { attacker.Stop() })
	encode := vegeta.NewEncoder(stdout)
	for r := range attacker.Attack(vegeta.NewStaticTargeter(targets...), s, 0, "") {
		if err := encode.Encode(r); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	return nil
}

// answer is what became of a request.
type answer struct {
	due  time.Duration // after the start
	took time.Duration // from then; patience if it failed
	name string        // who answered, or empty
	err  string
}

// answers reads what a load generator wrote.
func answers(from io.Reader, o order) ([]answer, error) {
	due := o.due()
	all := make([]answer, 0, len(due))
	for decode := vegeta.NewDecoder(from); ; {
		var r vegeta.Result
		err := decode.Decode(&r)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the results of the load generator: %w", err)
		}
		if r.Seq >= uint64(len(due)) {
			return nil, fmt.Errorf("the load generator sent request %d of %d", r.Seq, len(due))
		}
		all = append(all, newAnswer(&r, o.Start, due[r.Seq]))
	}
}

func newAnswer(r *vegeta.Result, start time.Time, due time.Duration) answer {
	a := answer{due: due, took: r.Timestamp.Add(r.Latency).Sub(start) - due, name: string(r.Body)}
	if r.Error != "" || r.Code != 200 {
		a.name, a.took, a.err = "", patience, r.Error
		if a.err == "" {
			a.err = fmt.Sprintf("HTTP status %d", r.Code)
		}
	}
	return a
}

func stdin() io.Reader { return os.Stdin }
