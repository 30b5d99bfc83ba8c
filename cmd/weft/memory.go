package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// How much garbage there may be, in percent of what is in use. Whoever makes all
// rules from nothing has it quickly behind himself with much; an agent, which then
// stays, should be small.
const (
	hasty  = 200
	frugal = 50
)

// collect sets how much garbage there may be, unless $GOGC does.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// So long after a change, if the heap has grown by grownBy bytes since then, what
// nobody needs any more is given back at once: else it would wait for many changes,
// of which each would give back a little, for more than that costs together.
const (
	calmAfter = 2 * time.Second
	grownBy   = 24 << 20
)

// calm gives back, behind large changes, the memory that they took.
type calm struct {
	timer *time.Timer
	due   atomic.Bool
	heap  atomic.Uint64 // when memory was given back last
}

// changed says that rules were loaded. After the first ones there may be less
// garbage than before.
func (c *calm) changed() {
	if c.due.Swap(true) {
		return
	}
	if c.timer == nil {
		collect(frugal)
		c.timer = time.AfterFunc(calmAfter, c.down)
		return
	}
	c.timer.Reset(calmAfter)
}

func (c *calm) down() {
	c.due.Store(false)
	if heap() < c.heap.Load()+grownBy {
		return
	}
	debug.FreeOSMemory()
	c.heap.Store(heap())
}

// heap is how much memory the heap holds, in use or not.
func heap() (sum uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(sample)
	for _, s := range sample {
		sum += s.Value.Uint64()
	}
	return sum
}
