package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// How much garbage there may be, in percent of what is in use. Whoever makes all
// rules from nothing has it quickly behind himself with much, but what stays is then
// strewn over all the memory that it took; an agent, which stays, should be small. But
// a little is nothing: where not much is in use, half of it would be collected with
// every few changes.
const (
	hasty  = 100
	frugal = 50
	most   = 200
	little = 8 << 20 // bytes
)

// garbage is little or frugal in percent of the bytes in use, whichever is more, in
// steps of frugal.
func garbage(inUse uint64) int {
	return max(frugal, min(most, int(100*little/max(inUse, 1))/frugal*frugal))
}

// collect sets how much garbage there may be, unless $GOGC does.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// A burst of changes is over when nothing came for calmAfter. If the heap is larger
// then by grownBy bytes than it may be with its garbage, what nobody needs any more is
// given back: else that would wait for the next changes. The burst of a start is over
// so long after its first change, whatever comes: each change would give back a little
// of it, which costs more than all at once.
const (
	calmAfter = 2 * time.Second
	grownBy   = 16 << 20
)

// calm gives back, behind large changes, the memory that they took.
type calm struct {
	timer   *time.Timer
	percent atomic.Int64  // of garbage
	heap    atomic.Uint64 // when memory was given back last; 0 is never
}

// changed says that rules were loaded. After the first ones there may be less
// garbage than before.
func (c *calm) changed() {
	switch {
	case c.timer == nil:
		c.measure()
		c.timer = time.AfterFunc(calmAfter, c.down)
	case c.heap.Load() > 0:
		c.timer.Reset(calmAfter)
	}
}

// measure sets how much garbage there may be. It is asked for rarely: a change stops
// the world.
func (c *calm) measure() {
	if percent := garbage(read("/gc/heap/live:bytes")); c.percent.Swap(int64(percent)) != int64(percent) {
		collect(percent)
	}
}

func (c *calm) down() {
	c.measure()
	if before := c.heap.Load(); before > 0 && heap() < before+before*uint64(c.percent.Load())/100+grownBy {
		return
	}
	debug.FreeOSMemory()
	c.heap.Store(heap())
}

// heap is how much memory the heap holds, in use or not.
func heap() uint64 {
	return read("/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes", "/memory/classes/heap/unused:bytes")
}

// read is the sum of figures of the runtime.
func read(names ...string) (sum uint64) {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	for _, s := range samples {
		sum += s.Value.Uint64()
	}
	return sum
}
