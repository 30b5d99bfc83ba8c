package traffic

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"

	"weft/state"
	"weft/state/status"
)

// Ledger holds what arrived at each endpoint beside what its share asked for.
//
// Shares change, and what arrived before says nothing about those of today. So for
// each connection that comes, whichever endpoint gets it, every endpoint of the
// ServicePort is put down for its share of one. What was asked and what arrived are
// sums over the same connections then, and differ by chance alone, however often
// shares changed meanwhile.
type Ledger struct {
	observer *Observer
	states   func() *state.State
	news     <-chan struct{} // where it aims: has a notice when there is another state

	mu sync.Mutex
	// asked is the state whose shares are asked for now.
	asked *state.State
	// counted is what the observer had counted at each place when it was looked at
	// last.
	counted map[status.Place]uint64
	totals  map[status.Place]status.Arrivals
	nodes   map[string]status.Arrivals
	// older and newer are what was there then; see window.
	older, newer mark
}

// mark is how much there was at a time.
type mark struct {
	at     time.Time
	totals map[status.Place]status.Arrivals
}

// The times of a Ledger: how often it looks whether shares changed while connections
// come, how often it takes in what was counted meanwhile, and what time it tells of:
// between one and two windows.
const (
	glance = time.Second
	intake = 10 * time.Second
	window = 5 * time.Minute
)

// NewLedger is a Ledger of what the observer counts. states gives the state whose
// shares are asked for, which is nil before there is any. With news, which has a notice
// whenever there is another state, it also tells the observer what to count, as nobody
// else does.
func NewLedger(o *Observer, states func() *state.State, news <-chan struct{}) *Ledger {
	now := mark{at: time.Now()}
	return &Ledger{
		observer: o, states: states, news: news, older: now, newer: now,
		counted: map[status.Place]uint64{}, totals: map[status.Place]status.Arrivals{}, nodes: map[string]status.Arrivals{},
	}
}

// Run keeps the ledger until the context ends.
func (l *Ledger) Run(ctx context.Context) error {
	timer := time.NewTimer(glance)
	defer timer.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.observer.began:
			l.resume()
			timer.Reset(glance)
		case <-l.news:
			last = time.Now()
			l.take(last)
		case now := <-timer.C:
			lull := l.observer.isQuiet()
			if lull || l.glance() || now.Sub(last) >= intake {
				l.take(now)
				last = now
			}
			if timer.Reset(glance); lull { // it does not matter which shares are asked for
				timer.Reset(l.untilWindow(now))
			}
		}
	}
}

// resume ends a lull, at whose beginning all that had come was put down: what comes now
// comes by the shares of now.
func (l *Ledger) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st := l.states(); l.news == nil && changed(l.asked, st) {
		l.adopt(st)
	}
}

// glance reports whether shares changed since they were looked at last.
func (l *Ledger) glance() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return changed(l.asked, l.states())
}

// untilWindow is how long the window lasts yet that is under way.
func (l *Ledger) untilWindow(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.newer.at.Add(window).Sub(now))
}

// changed compares generations, since the same state may be read again and again.
func changed(old, now *state.State) bool {
	return now != nil && (old == nil || old.Generation != now.Generation)
}

// take puts down what came since the last time, by the shares of that time, and
// goes on with those of now.
func (l *Ledger) take(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	if st := l.states(); changed(l.asked, st) {
		l.adopt(st)
	}
	if now.Sub(l.newer.at) >= window {
		l.older, l.newer = l.newer, mark{now, maps.Clone(l.totals)}
	}
}

// settle puts down what came since the last time.
func (l *Ledger) settle() {
	counts, err := l.observer.Counts()
	if err != nil || l.asked == nil || len(counts.By) == 0 {
		return // what came meanwhile is put down when it is known
	}
	for _, p := range l.asked.ServicePorts {
		if by := counts.By[NodePort{p.Protocol, p.NodePort}]; len(by) > 0 && p.Steered() {
			l.settlePort(p, by)
		}
	}
}

func (l *Ledger) settlePort(p *state.ServicePort, by map[netip.AddrPort]Count) {
	came := make([]uint64, len(p.Endpoints))
	families := map[bool]uint64{}
	for i := range p.Endpoints {
		place := placeOf(p, &p.Endpoints[i])
		count := by[place.Endpoint].Opened
		came[i] = count - min(l.counted[place], count)
		l.counted[place] = count
		families[place.Endpoint.Addr().Is4()] += came[i]
	}
	for i := range p.Endpoints {
		e := &p.Endpoints[i]
		all := families[e.Address.Is4()]
		if all == 0 {
			continue
		}
		asked := e.Share * float64(all)
		put(l.totals, placeOf(p, e), came[i], asked)
		if e.Node != "" {
			put(l.nodes, e.Node, came[i], asked)
		}
	}
}

func placeOf(p *state.ServicePort, e *state.Endpoint) status.Place {
	return status.Place{Protocol: p.Protocol, NodePort: p.NodePort, Endpoint: e.AddrPort()}
}

func put[K comparable](book map[K]status.Arrivals, at K, came uint64, asked float64) {
	a := book[at]
	book[at] = status.Arrivals{Connections: a.Connections + came, Asked: a.Asked + asked}
}

// adopt makes the shares of a state those that are asked for, and forgets what it
// does not have.
func (l *Ledger) adopt(st *state.State) {
	var before []*state.ServicePort
	if l.asked != nil {
		before = l.asked.ServicePorts
	}
	gone, came := state.Difference(before, st.ServicePorts)
	l.asked = st
	for place := range left(gone, came) {
		delete(l.counted, place)
		for _, book := range []map[status.Place]status.Arrivals{l.totals, l.older.totals, l.newer.totals} {
			delete(book, place)
		}
	}
	if len(gone) > 0 {
		l.forgetNodes(st)
	}
	if l.news != nil {
		l.observer.Aim(st)
	}
}

// left are the places that there are no longer.
func left(gone, came []*state.ServicePort) map[status.Place]bool {
	places := map[status.Place]bool{}
	for _, p := range gone {
		for i := range p.Endpoints {
			places[placeOf(p, &p.Endpoints[i])] = true
		}
	}
	for _, p := range came {
		for i := range p.Endpoints {
			if p.Steered() {
				delete(places, placeOf(p, &p.Endpoints[i]))
			}
		}
	}
	return places
}

// forgetNodes forgets the nodes that are not known and have no endpoint.
func (l *Ledger) forgetNodes(st *state.State) {
	strange := maps.Clone(l.nodes)
	for _, n := range st.Nodes {
		delete(strange, n.Name)
	}
	for i := 0; i < len(st.ServicePorts) && len(strange) > 0; i++ {
		for _, e := range st.ServicePorts[i].Endpoints {
			delete(strange, e.Node)
		}
	}
	for name := range strange {
		delete(l.nodes, name)
	}
}

// Traffic is what was counted up to now.
func (l *Ledger) Traffic() status.Traffic {
	l.take(time.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	t := status.Traffic{Since: l.older.at, Totals: maps.Clone(l.totals), Nodes: maps.Clone(l.nodes), Endpoints: map[status.Place]status.Arrivals{}}
	if _, err := l.observer.Counts(); err != nil {
		t.Unknown = err.Error()
	}
	for at, total := range l.totals {
		before := l.older.totals[at]
		a := status.Arrivals{Connections: total.Connections - before.Connections, Asked: total.Asked - before.Asked}
		if a != (status.Arrivals{}) {
			t.Endpoints[at] = a
			t.Connections += a.Connections
		}
	}
	return t
}
