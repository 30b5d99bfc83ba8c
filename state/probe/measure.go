package probe

import (
	"time"

	"weft/state"
)

// Measurement is what is known about a node.
type Measurement struct {
	// Latency is nil while it is not known.
	Latency *state.Latency
	// CPU is what the node told last, nil if that is too long ago.
	CPU *state.CPU
	// Cores is 0 while they are not known.
	Cores int
	// Unreachable is since when the node does not answer; zero if it does.
	Unreachable time.Time
	// Rounds is how many good rounds the latency comes from, and Since when the
	// first of them was.
	Rounds int
	Since  time.Time
	// Failed is how many rounds got no answer.
	Failed uint64
	// Err is why the last round got none; nil if it got one.
	Err error
}

// cpuExpiry is after how many intervals a node's own word about its CPU is too
// old: 15 s.
const cpuExpiry = 3

// Measurements are what is known about each target now, by node.
func (m *Monitor) Measurements() map[string]Measurement {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, interval := time.Now(), m.spacing()
	all := make(map[string]Measurement, len(m.nodes))
	for name, r := range m.nodes {
		all[name] = r.measurement(now, interval)
	}
	return all
}

func (r *record) measurement(now time.Time, interval time.Duration) Measurement {
	out := Measurement{Cores: r.cores, Unreachable: r.estimate.Unreachable(), Failed: r.failed, Err: r.err}
	out.Rounds, out.Since = r.estimate.Rounds()
	if value, measured, known := r.estimate.Latency(now, interval); known {
		out.Latency = &state.Latency{Seconds: value.Seconds(), Measured: wall(measured), Source: r.source}
	}
	if r.cpu != nil && now.Sub(r.cpu.Measured) <= cpuExpiry*interval {
		cpu := *r.cpu
		cpu.Measured = wall(cpu.Measured)
		out.CPU = &cpu
	}
	return out
}

// wall is a time as the state file has it.
func wall(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Measure enters what is known about the nodes into them. What nobody measured
// stays as it is.
func (m *Monitor) Measure(nodes []state.Node) {
	known := m.Measurements()
	for i := range nodes {
		n := &nodes[i]
		k := known[n.Name]
		n.Unreachable = k.Unreachable
		if k.Latency != nil {
			n.Latency = k.Latency
		}
		if k.CPU != nil {
			n.CPU = k.CPU
		}
		if k.Cores > 0 {
			n.Cores = k.Cores
		}
	}
}
