package status

import (
	"math"
	"time"

	"weft/state"
)

// What is kept of each node's measurements: a sample every sampleInterval, for
// the last hour.
const (
	sampleInterval = 30 * time.Second
	maxSamples     = 120
)

// Sample is what was known of a node at a time. What was not known is NaN.
type Sample struct {
	// Unix is in seconds.
	Unix int64
	// Latency is in seconds, CPU the part of all cores that is busy.
	Latency, CPU float32
}

// samples are those of each node, by name.
type samples struct {
	of   map[string]*ring[Sample]
	last time.Time
}

// take samples the nodes of a state, unless that was done lately. Nodes that are
// gone are forgotten.
func (s *samples) take(st *state.State, now time.Time) {
	if !s.last.IsZero() && now.Sub(s.last) < sampleInterval {
		return
	}
	s.last = now
	kept := make(map[string]*ring[Sample], len(st.Nodes))
	for i := range st.Nodes {
		n := &st.Nodes[i]
		r := s.of[n.Name]
		if r == nil {
			r = &ring[Sample]{}
		}
		r.add(sampleOf(n, now), maxSamples)
		kept[n.Name] = r
	}
	s.of = kept
}

func sampleOf(n *state.Node, now time.Time) Sample {
	sample := Sample{Unix: now.Unix(), Latency: float32(math.NaN()), CPU: float32(math.NaN())}
	if n.Latency != nil {
		sample.Latency = float32(n.Latency.Seconds)
	}
	if n.CPU != nil {
		sample.CPU = float32(n.CPU.Ratio)
	}
	return sample
}

// Samples are those of the last hour of each node by name, oldest first.
func (r *Recorder) Samples() map[string][]Sample {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string][]Sample, len(r.samples.of))
	for name, s := range r.samples.of {
		all[name] = s.list()
	}
	return all
}
