package apply

import (
	"context"

	"weft/render/nft"
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
