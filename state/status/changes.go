package status

import (
	"slices"
	"time"
)

// maxChanges bounds the changes that are waited for, should nothing be proven for
// long: later ones then count for nothing.
const maxChanges = 10000

// changes are those of endpoints, on their way into the kernel.
type changes struct {
	waiting []change
	took    Histogram
	last    time.Duration
}

// short is what was counted; nil if nothing was.
func (c *changes) short() *Changes {
	if c.took.Count == 0 {
		return nil
	}
	return &Changes{c.took.Count, c.last.Seconds(), c.took.Sum / float64(c.took.Count)}
}

type change struct {
	// at is when what led to it happened.
	at time.Time
	// generation is that of the state that has it; 0 while there is none.
	generation uint64
}

// Triggered says when something happened that led to a change of endpoints, of
// which the next state will tell. What happened before the agent was started is
// not its doing and counts for nothing.
func (r *Recorder) Triggered(at time.Time) {
	if r == nil || at.Before(r.agent.Started) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, proves := r.parts[Applier]; proves && len(r.changes.waiting) < maxChanges {
		r.changes.waiting = append(r.changes.waiting, change{at: at})
	}
}

// written gives changes that no state had the generation of the first that does.
func (c *changes) written(generation uint64) {
	for i := range slices.Backward(c.waiting) {
		if c.waiting[i].generation != 0 {
			return
		}
		c.waiting[i].generation = generation
	}
}

// proven counts the changes whose rules are at work.
func (c *changes) proven(generation uint64, now time.Time) {
	done := 0
	for _, w := range c.waiting {
		if w.generation == 0 || w.generation > generation {
			break
		}
		c.last = max(now.Sub(w.at), 0)
		c.took.add(c.last)
		done++
	}
	c.waiting = slices.Delete(c.waiting, 0, done)
}
