package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	probing "github.com/prometheus-community/pro-bing"
)

// ICMP pings the node. It asks for a socket without rights first, which the kernel
// gives to the groups in net.ipv4.ping_group_range, and then for a raw one, which
// takes CAP_NET_RAW.
type ICMP struct {
	// Timeout is how long a round waits.
	Timeout time.Duration

	raw atomic.Bool // the socket without rights was refused
}

// Round implements [Prober].
func (p *ICMP) Round(ctx context.Context, to Target) (Round, error) {
	answers, err := p.ping(ctx, to, p.raw.Load())
	if errors.Is(err, fs.ErrPermission) && !p.raw.Load() {
		if answers, err = p.ping(ctx, to, true); !errors.Is(err, fs.ErrPermission) {
			p.raw.Store(true)
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Round{}, fmt.Errorf("probe by icmp: %w: it needs CAP_NET_RAW, or the group in the sysctl net.ipv4.ping_group_range", err)
	case err != nil:
		return Round{}, fmt.Errorf("probe by icmp: %w", err)
	}
	return Round{Value: least(answers), Source: "icmp"}, nil
}

func (p *ICMP) ping(ctx context.Context, to Target, raw bool) ([]time.Duration, error) {
	pinger, err := probing.NewPinger(to.Address.String())
	if err != nil {
		return nil, err
	}
	pinger.SetLogger(probing.NoopLogger{})
	pinger.SetPrivileged(raw)
	pinger.Count, pinger.Interval, pinger.Timeout = probes, gap, p.Timeout
	pinger.OnRecv = func(answer *probing.Packet) {
		if answer.Rtt <= to.Usual {
			pinger.Stop()
		}
	}
	if err := pinger.RunWithContext(ctx); err != nil {
		return nil, err
	}
	// Its times are differences of the wall clock, which may be set meanwhile.
	answers := slices.DeleteFunc(pinger.Statistics().Rtts, func(d time.Duration) bool { return d <= 0 })
	if len(answers) == 0 {
		return nil, fmt.Errorf("no answer to %d probes", probes)
	}
	return answers, nil
}
