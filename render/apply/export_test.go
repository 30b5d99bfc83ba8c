package apply

import (
	"context"
	"errors"
	"time"

	"weft/render/nft"
	"weft/state"
)

// Subscription is what the loop listens to.
type Subscription = subscription

// Subscribe is how it listens.
func Subscribe(table string, own *nft.Own) (Subscription, error) {
	return subscribeToKernel(table, own)
}

// ListenWith replaces how it listens.
func (l *Loop) ListenWith(f func(table string, own *nft.Own) (Subscription, error)) { l.subscribe = f }

// WithoutScratch takes the right to make network namespaces away from the loop.
func (l *Loop) WithoutScratch() {
	l.rehearse = func(context.Context, *Desired) error { return nft.ErrNoScratch }
}

// LoadPieces loads in pieces whatever the size.
func (d *Desired) LoadPieces(ctx context.Context, runner nft.Runner) error {
	return d.loadPieces(ctx, runner, runner.Largest)
}

// IsPartial reports whether packets see some of a transaction and not all.
func IsPartial(err error) bool {
	var partial *Partial
	return errors.As(err, &partial)
}

// ProvesEvery replaces the time between two proofs without a reason.
func (l *Loop) ProvesEvery(d time.Duration) { l.interlude = d }

// HangsAfter replaces how long the loop may be at work without being held for hung.
func (l *Loop) HangsAfter(d time.Duration) { l.turn = d }

// ReadState reads the state as a pass does, and gives what the history would keep of it.
func (l *Loop) ReadState() (*state.State, string) {
	if l.said == nil {
		l.said = map[string]string{}
		l.decoder.Known = l.known
	}
	defer l.readState()()
	text, _ := l.stateText()
	return l.st, string(text)
}

// CallsForProof reports whether an event has the next proof at its interval read
// everything.
func CallsForProof(e nft.Event) bool {
	li := newListener(nil, nil)
	before := li.soFar()
	li.keep(e)
	return li.soFar() != before
}
