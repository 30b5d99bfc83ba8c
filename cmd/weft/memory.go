package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// How much garbage there may be, in percent of what is in use. Whoever makes all
// rules from nothing has it quickly behind himself with much, and a program that ends
// then may have it. An agent stays and should be small, the more so while it has nothing to
// do, and what it keeps would be strewn over all the memory that it took. But a little is
// nothing: where not much is in use, half of it would be collected with every few changes.
const (
	once   = 400
	hasty  = 100
	frugal = 50 // while there are changes
	idle   = 15
	most   = 200
	little = 8 << 20 // bytes
)

// garbage is little in percent of the bytes in use, in steps of least, or least if that is
// more.
func garbage(inUse uint64, least int) int {
	return max(least, min(most, int(100*little/max(inUse, 1))/least*least))
}

// collect sets how much garbage there may be, unless $GOGC does.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// A burst of changes is over when nothing came for calmAfter. If the heap has grown by
// grownBy bytes then since memory was given back, what nobody needs any more is given
// back: else it would stay until the next changes. That takes some 40 ms of a processor
// in the largest cluster, so there is a pause behind it. The burst of a start is over
// firstCalm after its first rules, whatever comes: each change would give back a little
// of it, which costs more than all at once. A pause later nodes were measured and shares
// followed, and what that took is given back, too.
const (
	firstCalm = 2 * time.Second
	calmAfter = 5 * time.Second
	calmPause = 30 * time.Second
	grownBy   = 12 << 20
	atStart   = 2 // times that it is given back, grown or not
)

// calm gives back, behind large changes, the memory that they took, and has less garbage
// while there are none. Make it by [newCalm].
type calm struct {
	heap heap

	mu      sync.Mutex
	timer   *time.Timer // nil before the first rules
	least   int         // percent of garbage,
	percent int         // and what that is here
	size    uint64      // of the heap, when memory was given back last
	gave    time.Time   // that was when; zero is never
	given   int         // how often it was
}

// heap is what there is to know of Go's, and to do with it.
type heap struct {
	inUse, size func() uint64 // bytes in use after the last collection, and held in all
	set         func(percent int)
	giveBack    func()
}

func newCalm() *calm {
	return &calm{heap: heap{
		inUse: func() uint64 { return read("/gc/heap/live:bytes") },
		size: func() uint64 {
			return read("/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes", "/memory/classes/heap/unused:bytes")
		},
		set:      collect,
		giveBack: debug.FreeOSMemory,
	}}
}

// loaded says that there are rules. After the first ones there may be less garbage than
// before.
func (c *calm) loaded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.least != frugal {
		c.allow(frugal)
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(firstCalm, c.down)
	}
	c.put()
}

// touched says that something was read or written.
func (c *calm) touched() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.put()
	}
}

// put puts off what is due, once the start is over.
func (c *calm) put() {
	if !c.gave.IsZero() {
		c.timer.Reset(max(calmAfter, calmPause-time.Since(c.gave)))
	}
}

// allow sets how much garbage there may be. It is asked for rarely: a change stops the
// world.
func (c *calm) allow(least int) {
	c.least = least
	if percent := garbage(c.heap.inUse(), least); percent != c.percent {
		c.percent = percent
		c.heap.set(percent)
	}
}

// down is for the end of a burst.
func (c *calm) down() {
	if !c.isDue() {
		return
	}
	c.heap.giveBack() // meanwhile nobody should wait who has rules to load
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size, c.gave = c.heap.size(), time.Now()
	c.given++
	c.put()
}

// isDue reports whether memory should be given back.
func (c *calm) isDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allow(idle)
	return c.given < atStart || c.heap.size() >= c.size+grownBy
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
