package nft

import "errors"

// ParseError is what a run that wrote stderr gives.
func ParseError(stderr string) error { return newError(nil, stderr, errors.New("exit status 1")) }

// SubscribeWithQueue subscribes with a receive queue of a size in bytes.
func SubscribeWithQueue(table string, queue int) (*Subscription, error) {
	return subscribe(table, nil, queue)
}

// Decode makes events out of a datagram of notifications, none of them own.
func Decode(table string, datagram []byte, changed func(Event)) error {
	c := collector{table: []byte(table)}
	return c.take(datagram, changed)
}
