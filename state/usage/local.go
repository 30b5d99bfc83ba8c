package usage

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"weft/state"
)

// window is what a sample of the own CPU use is the mean of at least: short enough to be
// news, and 200 ticks of the kernel's clock long for each core.
const window = 2 * time.Second

// Local is how busy the node is that weft runs on. It is a meter of the watcher.
// Make it by [NewLocal].
//
// It takes a sample when it is asked for one, by the watcher or by another agent, and not
// by a clock of its own: to wake up for that was a fourteenth of what an idle agent does.
type Local struct {
	path string // of the file stat
	log  *slog.Logger

	mu     sync.Mutex
	node   string // the own one's name
	before stat   // the last reading; none if it has no cores
	read   time.Time
	cpu    *state.CPU // the last sample, nil if there is none; nobody changes it
	said   bool       // that nothing can be read
}

// NewLocal reads from the proc file system that is mounted at proc, usually /proc.
func NewLocal(proc string, log *slog.Logger) (*Local, error) {
	if _, err := os.Stat(proc); err != nil {
		return nil, fmt.Errorf("read the CPU use of this node: %w", err)
	}
	return &Local{path: filepath.Join(proc, "stat"), log: log}, nil
}

// Aim takes the name of the own node.
func (l *Local) Aim(st *state.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.node = st.Node
}

// Measure enters what is known into the own node.
func (l *Local) Measure(nodes []state.Node) {
	cpu, cores := l.Usage()
	if cpu == nil {
		return
	}
	l.mu.Lock()
	self := l.node
	l.mu.Unlock()
	for i := range nodes {
		if nodes[i].Name == self {
			nodes[i].CPU = &state.CPU{Ratio: cpu.Ratio, Measured: cpu.Measured.UTC().Truncate(time.Millisecond), Source: cpu.Source}
			nodes[i].Cores = cores
		}
	}
}

// Run waits for the context to end: there is nothing that cannot wait until somebody asks.
func (l *Local) Run(ctx context.Context, _ func()) error {
	l.Usage() // what the first sample begins with
	<-ctx.Done()
	return ctx.Err()
}

// Usage is how busy the node was since it was asked last, or two seconds ago at the latest,
// nil if that is not known, and how many cores it has. What it points to is nobody's to
// change. It is not known at first, nor while the kernel does not tell, which is logged once.
func (l *Local) Usage() (*state.CPU, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.read) >= window {
		l.sample(now)
	}
	return l.cpu, l.before.cores
}

func (l *Local) sample(now time.Time) {
	s, err := readStat(l.path)
	if err != nil && !l.said {
		l.log.Warn("CPU use of this node not known", "error", err)
	}
	l.read, l.said, l.cpu = now, err != nil, nil
	if err != nil {
		return
	}
	if ratio, ok := busy(l.before, s); ok && l.before.cores > 0 {
		l.cpu = &state.CPU{Ratio: ratio, Measured: now, Source: "peer"}
	}
	l.before = s
}
