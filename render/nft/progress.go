package nft

import (
	"context"
	"errors"
	"sync"
)

// ErrLost is what cannot be heard: notifications were lost, or nobody listens
// any more.
var ErrLost = errors.New("notifications of nf_tables were lost")

// progress is how far a subscription has come. One goroutine reads, others wait.
type progress struct {
	mu         sync.Mutex
	generation uint32
	losses     int
	ended      bool
	// moved is closed at the next change; nil while nobody waits.
	moved chan struct{}
}

func (p *progress) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

func (p *progress) reached(generation uint32) { p.change(func() { p.generation = generation }) }

func (p *progress) lost() { p.change(func() { p.losses++ }) }

func (p *progress) end() { p.change(func() { p.ended = true }) }

// until waits for a generation. Generations wrap around, so that "at least" is a
// signed distance.
func (p *progress) until(ctx context.Context, generation uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for before := p.losses; ; {
		switch {
		case p.ended || p.losses != before:
			return ErrLost
		case p.generation != 0 && int32(p.generation-generation) >= 0:
			return nil
		}
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-moved:
		}
		p.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
