package probe

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"weft/state"
)

// Mode is a way to probe.
type Mode string

// The modes; see the package comment.
const (
	ModePeer Mode = "peer"
	ModeTCP  Mode = "tcp"
	ModeHTTP Mode = "http"
	ModeICMP Mode = "icmp"
)

// Options say how to probe. All but Keys, Usage, Path and Told must be set.
type Options struct {
	Mode Mode
	// Interval is the time between two rounds for a node, unless there are so
	// many that it has to be longer; see [Interval].
	Interval time.Duration
	// Timeout is how long a probe waits for its answer.
	Timeout time.Duration
	// Port is where all agents listen for each other.
	Port uint16
	// Keys are what packets between agents are signed with; see [Peer].
	Keys [][]byte
	// Usage tells how busy the own node is, to agents that ask; see [Peer].
	Usage func() (*state.CPU, int)
	// AskUsage asks agents how busy their nodes are also where the mode is
	// another than peer.
	AskUsage bool
	// Path is what the mode http asks for.
	Path string
	// Told hears whether the socket for other agents could be opened; nil is that
	// it could. It may be nil itself.
	Told func(error)
}

// New returns a Monitor that knows no node yet.
func New(o Options, log *slog.Logger) *Monitor {
	m := &Monitor{interval: o.Interval, smooth: o.Mode == ModeHTTP, atOnce: atOnce, log: log, nodes: map[string]*record{}, wake: make(chan struct{}, 1)}
	if o.Mode == ModeHTTP || o.Mode == ModeICMP {
		m.atOnce = fewAtOnce
	}
	if o.Mode == ModePeer || o.AskUsage {
		m.peer = newPeer(o, log)
	}
	switch o.Mode {
	case ModeTCP:
		m.prober = TCP{o.Timeout}
	case ModeHTTP:
		m.prober = HTTP{o.Timeout, o.Path}
	case ModeICMP:
		m.prober = &ICMP{Timeout: o.Timeout}
	default:
		m.prober = NewFallback(m.peer, TCP{o.Timeout})
		return m
	}
	if m.peer != nil {
		m.prober = &besides{m.prober, m.peer}
	}
	return m
}

// Refused is how many packets of other agents were refused, by reason.
func (m *Monitor) Refused() map[string]uint64 {
	if m.peer == nil {
		return nil
	}
	return m.peer.Refused()
}

// besides asks one Prober for the time and another for how busy the node is.
type besides struct{ time, usage Prober }

// Round implements [Prober].
func (b *besides) Round(ctx context.Context, to Target) (Round, error) {
	var usage Round
	var asked sync.WaitGroup
	asked.Go(func() { usage, _ = b.usage.Round(ctx, to) }) // not knowing is no error
	round, err := b.time.Round(ctx, to)
	asked.Wait()
	round.CPU, round.Cores = usage.CPU, usage.Cores
	return round, err
}
