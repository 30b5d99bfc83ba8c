package apply

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"weft/render"
	"weft/render/nft"
	"weft/render/verify"
)

// renewals is how often a heartbeat is renewed within its timeout, so that two
// may fail.
const renewals = 3

// beat renews the heartbeat. When that fails, somebody may have taken the table
// away, so everything is loaded again.
func (l *Loop) beat(ctx context.Context) {
	defer l.reportLetGo()
	if !l.vouches() {
		l.beaten = time.Now() // that there should be none is looked at no less often
		l.schedule()
		return
	}
	err := l.pulse().beat(ctx)
	if err == nil {
		l.beaten = time.Now()
		l.Status.Beat()
	}
	if ctx.Err() == nil && l.complain("heartbeat", "heartbeat not renewed, loading the rules again", err) {
		l.pass(ctx, Everything)
		return
	}
	l.schedule()
}

// vouches reports whether there is something to renew the heartbeat for.
func (l *Loop) vouches() bool {
	if l.pinned == nil && (l.good.set == nil || l.letGo()) {
		return false
	}
	return !l.blind() && l.inForce().Heartbeat() > 0
}

// beating does what takes long, such as nft, which may hang, while the heartbeat
// goes on. What it does must not concern the heartbeat.
func (l *Loop) beating(ctx context.Context, work func() error) error {
	if !l.vouches() {
		return work()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pulse, interval, done := l.pulse(), l.interval(), make(chan struct{})
	// Nearly always the work is done before a beat is due: then nobody is woken for it.
	first := time.AfterFunc(interval-time.Since(l.beaten), func() {
		defer close(done)
		for ctx.Err() == nil {
			if pulse.beat(ctx) == nil { // if not, whoever comes after the work will see
				l.Status.Beat()
			}
			l.beaten = time.Now()
			select {
			case <-ctx.Done():
			case <-time.After(interval):
			}
		}
	})
	err := work()
	if stop(); !first.Stop() {
		<-done
	}
	return err
}

// pulse is what a heartbeat renews.
type pulse struct {
	heart      *nft.Heart
	table, set string
	addresses  map[verify.Family][]netip.Addr
	timeout    time.Duration
}

func (l *Loop) pulse() pulse {
	st, vars := l.st, l.inForce()
	if l.applied != nil {
		st = l.applied.State
	}
	p := pulse{l.heart, vars.Table(), vars.NodePortIPs(), map[verify.Family][]netip.Addr{}, vars.Heartbeat()}
	for _, a := range st.Addresses {
		family := verify.IPv6
		if a.Is4() {
			family = verify.IPv4
		}
		p.addresses[family] = append(p.addresses[family], a)
	}
	return p
}

func (p pulse) beat(ctx context.Context) error {
	var errs error
	for family, addresses := range p.addresses {
		errs = errors.Join(errs, p.heart.Beat(ctx, family, p.table, p.set, addresses, p.timeout))
	}
	return errs
}

// inForce are the vars of the rules that the kernel holds.
func (l *Loop) inForce() render.Vars {
	if l.applied != nil {
		return l.applied.Vars
	}
	return l.good.vars
}

// blind reports whether what is wanted could not be proven for so long that
// what the kernel holds should end.
func (l *Loop) blind() bool {
	return l.FailAfter > 0 && !l.failing.IsZero() && time.Since(l.failing) > l.FailAfter
}

// schedule sets the time of the next heartbeat. That is counted from the last one,
// so that changes that come again and again do not put it off.
func (l *Loop) schedule() { l.beats.Reset(max(0, l.interval()-time.Since(l.beaten))) }

// interval is the time between two heartbeats, or two looks whether there should
// be one.
func (l *Loop) interval() time.Duration {
	if timeout := l.inForce().Heartbeat(); timeout > 0 {
		return timeout / renewals
	}
	return time.Minute
}
