package apply

import "weft/render/nft"

// Subscription is what the loop listens to.
type Subscription = subscription

// Subscribe is how it listens.
func Subscribe(table string, own *nft.Own) (Subscription, error) {
	return subscribeToKernel(table, own)
}

// ListenWith replaces how it listens.
func (l *Loop) ListenWith(f func(table string, own *nft.Own) (Subscription, error)) { l.subscribe = f }
