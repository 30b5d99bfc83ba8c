package traffic

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/state"
	"weft/state/status"
)

var endpointV6 = netip.MustParseAddrPort("[fd00::2]:80")

// book is a ledger of an observer that hears what the test says.
type book struct {
	*Ledger
	o    *Observer
	st   *state.State
	news chan struct{}
}

// newBook asks for shares of the endpoints A, B and one of IPv6.
func newBook(shares ...float64) *book {
	b := &book{o: New(nil)}
	b.o.hearing = time.Now().Add(-time.Hour)
	b.news = make(chan struct{}, 1)
	b.Ledger = NewLedger(b.o, func() *state.State { return b.st }, b.news)
	b.ask(shares...)
	return b
}

// ask makes the next state.
func (b *book) ask(shares ...float64) {
	p := &state.ServicePort{Namespace: "ns", Name: "web", Protocol: state.TCP, NodePort: 30000}
	for i, e := range []netip.AddrPort{endpointA, endpointB, endpointV6}[:len(shares)] {
		p.Endpoints = append(p.Endpoints, state.Endpoint{Address: e.Addr(), Port: e.Port(), Node: []string{"n1", "n2", "n2"}[i], Share: shares[i]})
	}
	next := &state.State{Generation: 1, Addresses: []netip.Addr{nodeAddr, netip.MustParseAddr("fd00::1")}, ServicePorts: []*state.ServicePort{p}}
	if b.st != nil {
		next.Generation = b.st.Generation + 1
	}
	b.st = next
	b.take(time.Now())
}

func (b *book) arrive(e netip.AddrPort, n int) {
	to := "10.0.0.1:30000"
	if e.Addr().Is6() {
		to = "[fd00::1]:30000"
	}
	for range n {
		b.o.tally.open(begins(to, e, 1), 0)
	}
}

func at(e netip.AddrPort) status.Place {
	return status.Place{Protocol: state.TCP, NodePort: 30000, Endpoint: e}
}

func (b *book) check(t *testing.T, want map[netip.AddrPort]status.Arrivals) {
	t.Helper()
	got := b.Traffic()
	n := uint64(0)
	for e, a := range want {
		n += a.Connections
		if diff := cmp.Diff(a, got.Endpoints[at(e)]); diff != "" {
			t.Errorf("%v: -want +got\n%s", e, diff)
		}
	}
	if got.Connections != n || len(got.Endpoints) != len(want) || got.Unknown != "" {
		t.Errorf("%d connections, %d endpoints, %q; want %d, %d", got.Connections, len(got.Endpoints), got.Unknown, n, len(want))
	}
}

// Whatever shares were in force when a connection came are those that it counts for.
func TestLedgerFollowsShares(t *testing.T) {
	b := newBook(0.75, 0.25)
	b.arrive(endpointA, 70)
	b.arrive(endpointB, 30)
	b.check(t, map[netip.AddrPort]status.Arrivals{endpointA: {Connections: 70, Asked: 75}, endpointB: {Connections: 30, Asked: 25}})
	b.arrive(endpointA, 100)
	b.ask(0, 1)
	b.arrive(endpointB, 100)
	b.check(t, map[netip.AddrPort]status.Arrivals{endpointA: {Connections: 170, Asked: 150}, endpointB: {Connections: 130, Asked: 150}})
}

func TestLedgerKeepsFamiliesApart(t *testing.T) {
	b := newBook(0.5, 0.5, 1)
	b.arrive(endpointA, 10)
	b.arrive(endpointV6, 30)
	b.check(t, map[netip.AddrPort]status.Arrivals{endpointA: {Connections: 10, Asked: 5}, endpointB: {Asked: 5}, endpointV6: {Connections: 30, Asked: 30}})
}

// What is told of is the last five to ten minutes; totals only grow.
func TestLedgerWindow(t *testing.T) {
	b := newBook(0.5, 0.5)
	start := time.Now()
	for minute := range 31 {
		b.arrive(endpointA, 1)
		b.take(start.Add(time.Duration(minute) * time.Minute))
	}
	got := b.Traffic()
	if n := got.Endpoints[at(endpointA)].Connections; n < 5 || n > 10 {
		t.Errorf("%d connections, one a minute, want those of five to ten minutes", n)
	}
	if ago := start.Add(30 * time.Minute).Sub(got.Since); ago < 5*time.Minute || ago > 10*time.Minute {
		t.Errorf("since %v before the end", ago)
	}
	if got.Totals[at(endpointA)].Connections != 31 || got.Nodes["n1"] != (status.Arrivals{Connections: 31, Asked: 15.5}) {
		t.Errorf("totals %+v, nodes %+v, want all 31", got.Totals, got.Nodes)
	}
}

// An endpoint that leaves is forgotten, its node's counter is not, and one that
// comes back begins anew.
func TestLedgerForgets(t *testing.T) {
	b := newBook(0.5, 0.5)
	b.arrive(endpointA, 10)
	b.arrive(endpointB, 10)
	b.take(time.Now().Add(window)) // so that what was there is in a mark
	b.ask(1)
	b.arrive(endpointA, 5)
	b.check(t, map[netip.AddrPort]status.Arrivals{endpointA: {Connections: 15, Asked: 15}})
	if _, there := b.Traffic().Nodes["n2"]; there {
		t.Error("a node that has nothing more is remembered")
	}
	b.ask(0.5, 0.5)
	b.arrive(endpointB, 20)
	b.take(time.Now().Add(2 * window))
	b.check(t, map[netip.AddrPort]status.Arrivals{endpointA: {Connections: 5, Asked: 15}, endpointB: {Connections: 20, Asked: 10}})
}

func TestLedgerSaysWhyNot(t *testing.T) {
	b := newBook(0.5, 0.5)
	b.arrive(endpointA, 3)
	b.check(t, map[netip.AddrPort]status.Arrivals{endpointA: {Connections: 3, Asked: 1.5}, endpointB: {Asked: 1.5}})
	b.o.use(nil, errOverwhelmed)
	b.arrive(endpointA, 2)
	if got := b.Traffic(); got.Unknown != errOverwhelmed.Error() || got.Connections != 3 {
		t.Errorf("%d connections, unknown %q", got.Connections, got.Unknown)
	}
}

// TestLedgerLull checks that hardly anything is done while no connection comes, and that
// the first one after shares changed meanwhile is put down by those of now: also where
// the ledger itself tells what counts, which then counts at once.
func TestLedgerLull(t *testing.T) {
	for name, aims := range map[string]bool{"beside a watcher": false, "alone": true} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testLull(t, aims) }) })
	}
}

func testLull(t *testing.T, aims bool) {
	b := newBook(0.5, 0.5)
	looks := 0
	states := func() *state.State { looks++; return b.st }
	if b.Ledger = NewLedger(b.o, states, nil); aims {
		b.Ledger = NewLedger(b.o, states, b.news)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	time.Sleep(31 * time.Minute)
	synctest.Wait()
	if looks > 10 {
		t.Errorf("%d looks in half an hour without connections", looks)
	}
	if since := time.Since(b.older.at); since > 2*window {
		t.Errorf("told of the last %v, want two windows at most", since)
	}
	next := &state.State{Generation: 9, Addresses: b.st.Addresses, ServicePorts: shared(b.st.ServicePorts[0], 0.9, 0.1)}
	if b.st = next; aims {
		b.news <- struct{}{}
		synctest.Wait()
		if b.o.aimed != next {
			t.Error("what counts is not that of the new state")
		}
	}
	b.o.mu.Lock()
	b.arrive(endpointA, 10)
	b.o.opened = b.o.now()
	b.o.mu.Unlock()
	b.o.began <- struct{}{}
	time.Sleep(5 * time.Second)
	synctest.Wait()
	b.check(t, map[netip.AddrPort]status.Arrivals{endpointA: {Connections: 10, Asked: 9}, endpointB: {Asked: 1}})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// shared is a ServicePort with other shares.
func shared(p *state.ServicePort, shares ...float64) []*state.ServicePort {
	c := *p
	c.Endpoints = slices.Clone(p.Endpoints)
	for i, share := range shares {
		c.Endpoints[i].Share = share
	}
	return []*state.ServicePort{&c}
}
