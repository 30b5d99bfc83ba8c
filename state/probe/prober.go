package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weft/state"
)

// Round is what a round of probes found out.
type Round struct {
	// Value is the time that the node took to answer, more than 0.
	Value time.Duration
	// Source is how it was measured, as the state file names it.
	Source string
	// CPU is the node's CPU use, if it told it; else nil.
	CPU *state.CPU
	// Cores is how many the node has, if it told it; else 0.
	Cores int
}

// Prober makes rounds. It is safe for concurrent use.
type Prober interface {
	// Round probes a node. It takes little longer than the timeout of a probe. The error is
	// why there is no answer, or ErrNothingToProbe.
	Round(ctx context.Context, to Target) (Round, error)
}

// ErrNothingToProbe says that nothing was sent, because there is nothing on the node
// that could answer or nothing here to ask with. It tells nothing about the node.
var ErrNothingToProbe = errors.New("nothing to probe")

// The form of a round: so many probes, so far apart.
const (
	probes = 3
	gap    = 50 * time.Millisecond
)

// DefaultTimeout is how long a probe waits for its answer.
const DefaultTimeout = time.Second

// repeat makes the probes of a round and returns the times of those that were
// answered, at least one. The probes do not wait for each other, so a slow answer
// does not make the round longer. An answer that took no longer than usual ends it.
func repeat(ctx context.Context, timeout, usual time.Duration, probe func(ctx context.Context, i int) (time.Duration, error)) ([]time.Duration, error) {
	var wait sync.WaitGroup
	var took [probes]time.Duration
	var errs [probes]error
	enough := make(chan struct{}, probes)
	for i := range probes {
		if i > 0 && !pause(ctx, enough) {
			errs[i] = ctx.Err()
			break
		}
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			if took[i], errs[i] = probe(ctx, i); errs[i] == nil && took[i] <= usual {
				enough <- struct{}{}
			}
		})
	}
	wait.Wait()
	var answered []time.Duration
	for i, d := range took {
		if errs[i] == nil && d > 0 {
			answered = append(answered, d)
		}
	}
	if len(answered) > 0 {
		return answered, nil
	}
	return nil, fmt.Errorf("no answer to %d probes: %w", probes, errors.Join(unique(errs[:])...))
}

// unique drops errors that say what one before said.
func unique(errs []error) (few []error) {
	told := map[string]bool{}
	for _, err := range errs {
		if err != nil && !told[err.Error()] {
			told[err.Error()] = true
			few = append(few, err)
		}
	}
	return few
}

// pause waits between two probes, and reports whether another should follow.
func pause(ctx context.Context, enough <-chan struct{}) bool {
	timer := time.NewTimer(gap)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-enough:
	case <-timer.C:
		return true
	}
	return false
}
