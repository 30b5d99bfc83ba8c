package nft

import "errors"

// ParseError is what a run that wrote stderr gives.
func ParseError(stderr string) error { return newError(nil, stderr, errors.New("exit status 1")) }
