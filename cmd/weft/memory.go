package main

import (
	"os"
	"runtime/debug"
	"sync"
)

// How much garbage there may be, in percent of what is in use. Whoever makes all
// rules from nothing has it quickly behind himself with much; an agent, which then
// stays, should be small.
const (
	hasty  = 400
	frugal = 50
)

// collect sets how much garbage there may be, unless $GOGC does.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// settled gives back, once, the memory that the first rules took.
func settled() func() {
	return sync.OnceFunc(func() {
		collect(frugal)
		debug.FreeOSMemory()
	})
}
