package apply

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"weft/render"
	"weft/render/verify"
)

// renewals is how often a heartbeat is renewed within its timeout, so that two
// may fail.
const renewals = 3

// beat renews the heartbeat. When that fails, somebody may have taken the table
// away, so everything is loaded again.
func (l *Loop) beat(ctx context.Context) {
	defer l.reportLetGo()
	if l.pinned == nil && (l.good.set == nil || l.letGo()) || l.blind() || l.inForce().Heartbeat() == 0 {
		l.beaten = time.Now() // that there should be none is looked at no less often
		l.schedule()
		return
	}
	err := l.renew(ctx)
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

func (l *Loop) renew(ctx context.Context) error {
	var v4, v6 []netip.Addr
	st, vars := l.st, l.inForce()
	if l.applied != nil {
		st = l.applied.State
	}
	for _, a := range st.Addresses {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	var errs error
	for family, addresses := range map[verify.Family][]netip.Addr{verify.IPv4: v4, verify.IPv6: v6} {
		if len(addresses) > 0 {
			errs = errors.Join(errs, l.heart.Beat(ctx, family, vars.Table(), vars.NodePortIPs(), addresses, vars.Heartbeat()))
		}
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
