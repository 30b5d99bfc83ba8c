package traffic

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"weft/state"
)

// Observer counts connections as the kernel tells of them. It is a meter of the
// watcher, though what it counts is of endpoints and not of nodes; see
// [Observer.Counts]. Make it by [New].
type Observer struct {
	log   *slog.Logger
	begin func() (*session, error)
	epoch time.Time

	mu    sync.Mutex
	aimed *state.State
	tally *tally
	ports [2]uint16 // lowest and highest NodePort that counts; 0 is none
	// hearing is since when nothing was missed; zero while nothing is heard.
	hearing time.Time
	session *session
	// began has a notice when a connection that counts came after a lull.
	began  chan struct{}
	opened float64 // when a connection that counts was opened last
	why    error   // why nothing is heard
}

// New returns an Observer of the connections in the network namespace of the
// process.
func New(log *slog.Logger) *Observer {
	return &Observer{log: log, begin: begin, epoch: time.Now(), tally: newTally(), began: make(chan struct{}, 1), why: errors.New("not yet started")}
}

// now is the time of the tally.
func (o *Observer) now() float64 { return time.Since(o.epoch).Seconds() }

// Aim makes the endpoints of steered ServicePorts those that count.
func (o *Observer) Aim(st *state.State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	same := o.aimed != nil && slices.Equal(st.ServicePorts, o.aimed.ServicePorts) && slices.Equal(st.Addresses, o.aimed.Addresses)
	o.aimed = st
	if same { // but for what was measured
		return
	}
	if !o.tally.watch(st.Addresses, st.ServicePorts) {
		return
	}
	if ports := portsOf(st); ports != o.ports {
		o.ports = ports
		o.limit()
	}
}

// portsOf are the lowest and the highest NodePort that count, 0 for none.
func portsOf(st *state.State) (ports [2]uint16) {
	for _, p := range st.ServicePorts {
		if !p.Steered() {
			continue
		}
		if ports[0] == 0 || p.NodePort < ports[0] {
			ports[0] = p.NodePort
		}
		ports[1] = max(ports[1], p.NodePort)
	}
	return ports
}

// limit tells the kernel what to leave out. That it cannot costs time alone.
func (o *Observer) limit() {
	if o.session == nil {
		return
	}
	if err := o.session.news.limit(o.ports[0], o.ports[1]); err != nil {
		o.log.Warn("all connections of this node are looked at, not those to NodePorts alone", "error", err)
	}
}

// Measure enters nothing: what is counted is no property of nodes.
func (o *Observer) Measure([]state.Node) {}

// The waits after which it is tried again to hear of connections: a table with NAT
// may only be loaded soon, and a kernel that had too much to tell may have less.
const (
	retry       = 10 * time.Second
	overwhelmed = 5 * time.Minute
)

// Run counts until the context ends. Where it cannot, it says so once and tries
// again: there are just no counts meanwhile. It calls changed for a connection that comes
// after a lull, since nobody need look at the counts while nothing comes.
func (o *Observer) Run(ctx context.Context, changed func()) error {
	said := ""
	for ctx.Err() == nil {
		err := o.attend(ctx, changed)
		if ctx.Err() != nil {
			break
		}
		wait := retry
		if errors.Is(err, errOverwhelmed) {
			wait = overwhelmed
		}
		if err.Error() != said {
			said = err.Error()
			o.log.Info("connections are not counted, so they guard nothing and are not shown", "error", err)
		}
		sleep(ctx, wait)
	}
	return ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// attend is one session.
func (o *Observer) attend(ctx context.Context, changed func()) error {
	s, err := o.begin()
	if err == nil {
		o.use(s, nil)
		err = errors.Join(o.run(ctx, s, changed), s.close())
	}
	o.use(nil, err)
	return err
}

// use begins or ends a time of hearing.
func (o *Observer) use(s *session, why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.session, o.why, o.hearing = s, why, time.Time{}
	o.tally.forget()
	if s != nil {
		o.hearing = time.Now()
		o.limit()
	}
}

// missed begins anew after a loss.
func (o *Observer) missed(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tally.forget()
	o.hearing = now
}

// isQuiet reports whether it is a lull.
func (o *Observer) isQuiet() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now()-o.opened > lull.Seconds()
}

// settling is how long after a loss there are no counts, so that whoever compares
// two of them every second notices the break.
const settling = 1500 * time.Millisecond

// Counts are what was counted up to now. They are nil, with the reason, while
// connections cannot be heard of, and shortly after some were missed: counts that
// follow begin anew, but for the counters.
func (o *Observer) Counts() (*Counts, error) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.hearing.IsZero():
		return nil, o.why
	case now.Sub(o.hearing) < settling:
		return nil, errors.New("counting began a second ago, or began anew after a loss")
	}
	return &Counts{At: now, Change: o.tally.change, By: o.tally.counts()}, nil
}
