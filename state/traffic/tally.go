package traffic

import (
	"container/heap"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"weft/state"
)

// tally counts connections. It is told what was opened and what was seen of those
// that it follows, and says which to look at next. Time is in seconds since its
// beginning. It is not for concurrent use.
type tally struct {
	addresses []netip.Addr
	watched   []*state.ServicePort
	ports     map[NodePort]*port
	used      map[NodePort]*port // those that have accounts
	all       budget
	following lives
	kept      []*life // those of them that are not young any more
	// change is another number after any change of what is counted, and told is what was
	// counted at the change with the number toldAt.
	change, toldAt uint64
	told           map[NodePort]map[netip.AddrPort]Count
}

// port is a NodePort of which connections count.
type port struct {
	of     *state.ServicePort
	budget budget
	// accounts are of the endpoints that ever had a connection: most ServicePorts
	// of a large cluster have none on most nodes.
	accounts map[netip.AddrPort]*account
}

// account is what was counted for an endpoint.
type account struct {
	Count
	budget *budget
}

// life is a connection that is followed.
type life struct {
	account *account
	entry   entry
	began   float64
	// seen is the age at which it was last seen open, due when to look at it next.
	seen, due float64
	accepted  bool
	forgotten bool
	place     int // among the kept ones, from 1; 0 while it is young
}

func newTally() *tally {
	return &tally{change: 1, ports: map[NodePort]*port{}, used: map[NodePort]*port{}, all: newBudget(inAll)}
}

// watch makes the endpoints of the steered ones of these ServicePorts those that
// count, and reports whether they are of other NodePorts than before. What was counted
// for those that stay is kept.
func (t *tally) watch(addresses []netip.Addr, list []*state.ServicePort) (others bool) {
	gone, came := state.Difference(t.watched, list)
	t.change++
	t.addresses, t.watched = addresses, list
	before := map[NodePort]*port{}
	for _, p := range gone {
		at := NodePort{p.Protocol, p.NodePort}
		if q := t.ports[at]; q != nil {
			before[at] = q
		}
		delete(t.ports, at)
		delete(t.used, at)
	}
	for _, p := range came {
		at := NodePort{p.Protocol, p.NodePort}
		if !p.Steered() {
			continue
		}
		q := before[at].after(p)
		if t.ports[at] = q; len(q.accounts) > 0 {
			t.used[at] = q
		}
		others = others || before[at] == nil
		delete(before, at)
	}
	return others || len(before) > 0
}

// after is what port, which may be nil, becomes with another ServicePort.
func (q *port) after(of *state.ServicePort) *port {
	if q == nil {
		return &port{of: of, budget: newBudget(perPort)}
	}
	q.of = of
	maps.DeleteFunc(q.accounts, func(at netip.AddrPort, _ *account) bool { return !q.has(at) })
	return q
}

func (q *port) has(at netip.AddrPort) bool {
	return slices.ContainsFunc(q.of.Endpoints, func(e state.Endpoint) bool { return e.AddrPort() == at })
}

// account is that of an endpoint, nil if it does not count.
func (t *tally) account(at NodePort, endpoint netip.AddrPort) *account {
	q := t.ports[at]
	if q == nil {
		return nil
	}
	a := q.accounts[endpoint]
	if a == nil && q.has(endpoint) {
		if a = (&account{budget: &q.budget}); q.accounts == nil {
			q.accounts = map[netip.AddrPort]*account{}
		}
		q.accounts[endpoint] = a
		t.used[at] = q
	}
	return a
}

// open counts a connection, and follows it if the budget allows. It reports
// whether it does.
func (t *tally) open(o opening, now float64) bool {
	if !slices.Contains(t.addresses, o.to.Addr()) {
		return false
	}
	a := t.account(NodePort{o.protocol, o.to.Port()}, o.from)
	if a == nil {
		return false
	}
	a.Opened++
	t.change++
	if o.protocol != state.TCP || len(t.following)-len(t.kept) >= atOnce || !a.budget.has(now) || !t.all.has(now) {
		return false
	}
	a.budget.left--
	t.all.left--
	a.Followed++
	a.Young++
	a.Open++
	o.entry.tuple = append([]byte(nil), o.entry.tuple...)
	heap.Push(&t.following, &life{account: a, entry: o.entry, began: now, due: now + firstLook.Seconds()})
	return true
}

// due takes out those that are to be looked at now, at most n. Each must be given
// to saw or lost then.
func (t *tally) due(now float64, n int) (due []*life) {
	for len(t.following) > 0 && len(due) < n && t.following[0].due <= now {
		due = append(due, heap.Pop(&t.following).(*life))
	}
	return due
}

// next is when something is due; ok is false if nothing is.
func (t *tally) next() (at float64, ok bool) {
	if len(t.following) == 0 {
		return 0, false
	}
	return t.following[0].due, true
}

// saw takes in what was seen of a connection at a time.
func (t *tally) saw(l *life, s sight, now float64) {
	t.change++
	age := now - l.began
	same := s.id == l.entry.id
	l.accepted = l.accepted || same && s.accepted
	switch {
	case l.forgotten:
	case !same || !s.open:
		t.over(l, age)
	case !l.accepted && age >= patience.Seconds():
		l.lasted(age)
		l.account.Failed++
		t.leave(l)
	default:
		if l.lasted(age); age >= Youth.Seconds() && l.place == 0 {
			t.keep(l)
		}
		l.due = now + wait(age)
		heap.Push(&t.following, l)
	}
}

// keep ends the youth of a connection. Where there is no room for more, one that
// was chosen by chance is forgotten for it, so that those that are left are still
// spread over the endpoints as all are.
func (t *tally) keep(l *life) {
	l.account.Young--
	if len(t.kept) >= keptAtOnce {
		t.lost(t.kept[rand.IntN(len(t.kept))])
	}
	t.kept = append(t.kept, l)
	l.place = len(t.kept)
}

// leave ends the count of a connection as an open one.
func (t *tally) leave(l *life) {
	l.account.Open--
	if l.place == 0 {
		l.account.Young--
		return
	}
	last := t.kept[len(t.kept)-1]
	t.kept[l.place-1], last.place = last, l.place
	t.kept[len(t.kept)-1] = nil
	t.kept, l.place = t.kept[:len(t.kept)-1], 0
}

// over ends a connection that was found to be closed at an age. When it was is not
// known; halfway since it was seen open is the best guess. One that never was
// accepted has failed: its entry goes at once when the endpoint refuses it.
func (t *tally) over(l *life, age float64) {
	l.lasted((l.seen + age) / 2)
	t.leave(l)
	if !l.accepted {
		l.account.Failed++
	}
}

// lasted counts the time of a connection up to an age, as long as it is young.
func (l *life) lasted(age float64) {
	age = min(age, Youth.Seconds())
	l.account.Seconds += max(0, age-l.seen)
	l.seen = max(l.seen, age)
}

// lost lets go of a connection of which nothing can be seen.
func (t *tally) lost(l *life) {
	if !l.forgotten {
		l.forgotten = true
		t.change++
		t.leave(l)
	}
}

// forget lets go of all.
func (t *tally) forget() {
	for _, l := range t.following {
		t.lost(l)
	}
	t.following = nil
}

// counts are the counts of all places that ever had a connection. They are the same ones,
// which nobody changes, until there is another change.
func (t *tally) counts() map[NodePort]map[netip.AddrPort]Count {
	if t.told == nil || t.toldAt != t.change {
		t.told, t.toldAt = t.count(), t.change
	}
	return t.told
}

func (t *tally) count() map[NodePort]map[netip.AddrPort]Count {
	all := map[NodePort]map[netip.AddrPort]Count{}
	for at, q := range t.used {
		all[at] = make(map[netip.AddrPort]Count, len(q.accounts))
		for endpoint, a := range q.accounts {
			all[at][endpoint] = a.Count
		}
	}
	return all
}

// The ages at which a connection is judged.
const (
	// Youth is the age from which on a connection tells nothing more about how
	// long a request takes: it is one that is kept open.
	Youth = 10 * time.Second
	// patience is how long an endpoint may take to accept one: its first packet
	// was sent again after a second, and after three, and both were in vain.
	patience = 3500 * time.Millisecond
	// firstLook is the age at which it is looked at for the first time, after
	// which the age doubles from one look to the next, up to steps of lastLook.
	firstLook = 5 * time.Millisecond
	lastLook  = 500 * time.Millisecond
	keptLook  = 10 * time.Second
)

// wait is how long to wait after a look at an age. Of those that are kept open only
// their number matters, so they are looked at more rarely.
func wait(age float64) float64 {
	if age >= Youth.Seconds() {
		return min(age/4, keptLook.Seconds())
	}
	return min(max(age, firstLook.Seconds()), lastLook.Seconds())
}

// What is followed at most: so many new connections a second of each NodePort, so
// that a busy one takes little from the others, and of all; and so many at once,
// young and kept open.
const (
	perPort    = 200
	inAll      = 1000
	atOnce     = 10000
	keptAtOnce = 5000
)

// budget is how many may be followed: it fills up by so many a second, to no more
// than that.
type budget struct{ rate, left, at float64 }

func newBudget(rate float64) budget { return budget{rate: rate, left: rate} }

// has fills the budget up, and reports whether there is something left.
func (b *budget) has(now float64) bool {
	b.left = min(b.rate, b.left+b.rate*max(0, now-b.at))
	b.at = now
	return b.left >= 1
}

// lives is a heap by when to look.
type lives []*life

func (l lives) Len() int           { return len(l) }
func (l lives) Less(i, j int) bool { return l[i].due < l[j].due }
func (l lives) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lives) Push(x any)        { *l = append(*l, x.(*life)) }
func (l *lives) Pop() any {
	old := *l
	last := old[len(old)-1]
	*l = old[:len(old)-1]
	return last
}
