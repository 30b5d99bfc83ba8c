package usage

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/procfs"

	"weft/state"
)

// window is what a sample of the own CPU use is the mean of: short enough to be
// news, and 200 ticks of the kernel's clock long for each core.
const window = 2 * time.Second

// Local is how busy the node is that weft runs on. It is a meter of the watcher.
// Make it by [NewLocal].
type Local struct {
	fs   procfs.FS
	log  *slog.Logger
	last atomic.Pointer[sample]
	node atomic.Pointer[string] // the own one's name
}

type sample struct {
	cpu   state.CPU
	cores int
}

// NewLocal reads from the proc file system that is mounted at proc, usually /proc.
func NewLocal(proc string, log *slog.Logger) (*Local, error) {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return nil, fmt.Errorf("read the CPU use of this node: %w", err)
	}
	return &Local{fs: fs, log: log}, nil
}

// Aim takes the name of the own node.
func (l *Local) Aim(st *state.State) { l.node.Store(&st.Node) }

// Measure enters what is known into the own node.
func (l *Local) Measure(nodes []state.Node) {
	cpu, cores := l.Usage()
	self := l.node.Load()
	if cpu == nil || self == nil || time.Since(cpu.Measured) > localExpiry {
		return
	}
	for i := range nodes {
		if nodes[i].Name == *self {
			nodes[i].CPU = &state.CPU{Ratio: cpu.Ratio, Measured: cpu.Measured.UTC().Truncate(time.Millisecond), Source: cpu.Source}
			nodes[i].Cores = cores
		}
	}
}

// localExpiry is the age at which the last sample is of no use: that of a machine
// that slept.
const localExpiry = 15 * time.Second

// Run samples until the context ends, and has nothing that cannot wait. That it cannot is said once, and makes the
// CPU use not known.
func (l *Local) Run(ctx context.Context, _ func()) error {
	ticker := time.NewTicker(window)
	defer ticker.Stop()
	before, err := l.fs.Stat()
	said := false
	for {
		if err != nil && !said {
			l.log.Warn("CPU use of this node not known", "error", err)
		}
		said = err != nil
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		var now procfs.Stat
		if now, err = l.fs.Stat(); err != nil {
			l.last.Store(nil)
			continue
		}
		if ratio, ok := busy(before.CPUTotal, now.CPUTotal); ok {
			l.last.Store(&sample{state.CPU{Ratio: ratio, Measured: time.Now(), Source: "peer"}, len(now.CPU)})
		}
		before = now
	}
}

// Usage is how busy the node was during the last two seconds, nil if that is not
// known, and how many cores it has. What it points to is nobody's to change.
func (l *Local) Usage() (*state.CPU, int) {
	s := l.last.Load()
	if s == nil {
		return nil, 0
	}
	return &s.cpu, s.cores
}

// busy is the part of the time between two readings in which the CPUs did not wait
// for something to do. Time that a hypervisor took away (steal) counts as busy: it
// is not there for requests. It is not known when no time passed.
//
// The idle times of a kernel may go back a little (see proc(5) on iowait), so each
// is taken by itself and never for negative.
func busy(before, now procfs.CPUStat) (ratio float64, ok bool) {
	grown := func(part func(procfs.CPUStat) float64) float64 { return max(0, part(now)-part(before)) }
	idle := grown(func(s procfs.CPUStat) float64 { return s.Idle }) +
		grown(func(s procfs.CPUStat) float64 { return s.Iowait })
	// User and Nice hold Guest and GuestNice.
	used := grown(func(s procfs.CPUStat) float64 { return s.User }) +
		grown(func(s procfs.CPUStat) float64 { return s.Nice }) +
		grown(func(s procfs.CPUStat) float64 { return s.System }) +
		grown(func(s procfs.CPUStat) float64 { return s.IRQ }) +
		grown(func(s procfs.CPUStat) float64 { return s.SoftIRQ }) +
		grown(func(s procfs.CPUStat) float64 { return s.Steal })
	ratio = used / (used + idle) // no number where no time passed
	return ratio, ratio >= 0 && ratio <= 1
}
