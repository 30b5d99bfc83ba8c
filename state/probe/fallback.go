package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Fallback asks a second Prober about nodes that do not answer the first. A node
// that answers the second alone for three rounds is asked by the first only every
// twelfth round, once a minute.
//
// A Fallback with an empty Second is useless; make it by [NewFallback].
type Fallback struct {
	first, second Prober

	mu     sync.Mutex
	missed map[string]int // rounds that the second alone answered, by node
}

const (
	patience = 3  // rounds in which the first is asked all the same
	again    = 12 // after that, every so manieth
)

// NewFallback returns a Prober that asks the first and then the second.
func NewFallback(first, second Prober) *Fallback {
	return &Fallback{first: first, second: second, missed: map[string]int{}}
}

// Round implements [Prober]. The error is that of both.
func (f *Fallback) Round(ctx context.Context, to Target) (Round, error) {
	var firstErr error
	if missed := f.misses(to.Node); missed < patience || missed%again == 0 {
		round, err := f.first.Round(ctx, to)
		if err == nil {
			f.forget(to.Node)
			return round, nil
		}
		firstErr = err
	}
	round, err := f.second.Round(ctx, to)
	if err == nil {
		f.miss(to.Node)
		return round, nil
	}
	f.forget(to.Node)
	return Round{}, both(firstErr, err)
}

// both is what two errors say about a node; the first may be nil. Neither says
// anything if it had nothing to probe.
func both(first, second error) error {
	switch {
	case errors.Is(second, ErrNothingToProbe) && first != nil:
		return first
	case first == nil || errors.Is(first, ErrNothingToProbe):
		return second
	}
	return fmt.Errorf("%w; %w", first, second)
}

func (f *Fallback) misses(node string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.missed[node]
}

func (f *Fallback) miss(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.missed[node]++
}

func (f *Fallback) forget(node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.missed, node)
}
