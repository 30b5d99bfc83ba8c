package traffic

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weft/state"
)

var (
	nodeAddr  = netip.MustParseAddr("10.0.0.1")
	endpointA = netip.MustParseAddrPort("10.1.0.1:80")
	endpointB = netip.MustParseAddrPort("10.1.0.2:80")
)

func tcp(port uint16) NodePort { return NodePort{state.TCP, port} }

// table stands in for the kernel's: what each connection does, by its ID.
type table map[uint64]fate

// fate is when a connection is accepted and when it ends, in seconds from its
// beginning; infinite is never. One that is refused is never in the table.
type fate struct{ accepted, ends float64 }

var (
	refused   = fate{math.Inf(1), 0}
	swallowed = fate{math.Inf(1), math.Inf(1)}
)

func lasting(s float64) fate { return fate{0, s} }

// serving is a steered ServicePort with these endpoints.
func serving(at NodePort, endpoints ...netip.AddrPort) *state.ServicePort {
	p := &state.ServicePort{Namespace: "ns", Name: fmt.Sprint("web-", at.Port), Protocol: at.Protocol, NodePort: at.Port}
	for _, e := range endpoints {
		p.Endpoints = append(p.Endpoints, state.Endpoint{Address: e.Addr(), Port: e.Port()})
	}
	return p
}

func newTestTally() *tally {
	t := newTally()
	t.watch([]netip.Addr{nodeAddr}, []*state.ServicePort{serving(tcp(30000), endpointA, endpointB), serving(tcp(30001), endpointA)})
	return t
}

// run lets time go on until end, and looks at whatever is due as it is due.
func (k table) run(t *tally, until float64) {
	for {
		at, ok := t.next()
		if !ok || at > until {
			return
		}
		for _, l := range t.due(at, batch) {
			f, age := k[l.entry.id], at-l.began
			switch {
			case f == refused:
				t.saw(l, sight{}, at)
			default:
				t.saw(l, sight{id: l.entry.id, open: age < f.ends, accepted: age >= f.accepted}, at)
			}
		}
	}
}

func begins(to string, from netip.AddrPort, id uint64) opening {
	return opening{state.TCP, netip.MustParseAddrPort(to), from, entry{2, []byte{byte(id)}, id}}
}

func TestTally(t *testing.T) {
	cases := []struct {
		name  string
		fate  fate
		after float64
		want  Count
	}{
		{"just opened", lasting(1), 0.001, Count{Opened: 1, Followed: 1, Young: 1, Open: 1}},
		{"shorter than the first look", lasting(0.001), 1, Count{Opened: 1, Followed: 1, Seconds: 0.0025}},
		{"between two looks", lasting(0.1), 1, Count{Opened: 1, Followed: 1, Seconds: 0.12}},
		{"still open", lasting(9), 5, Count{Opened: 1, Followed: 1, Young: 1, Open: 1, Seconds: 4.64}},
		{"it ends after long", lasting(9), 12, Count{Opened: 1, Followed: 1, Seconds: 8.89}},
		{"kept open", lasting(3600), 60, Count{Opened: 1, Followed: 1, Open: 1, Seconds: 10}},
		{"kept open for a while", lasting(30), 45, Count{Opened: 1, Followed: 1, Seconds: 10}},
		{"refused", refused, 1, Count{Opened: 1, Followed: 1, Failed: 1, Seconds: 0.0025}},
		{"swallowed, not yet given up", swallowed, 3, Count{Opened: 1, Followed: 1, Young: 1, Open: 1, Seconds: 2.64}},
		{"swallowed", swallowed, 5, Count{Opened: 1, Followed: 1, Failed: 1, Seconds: 3.64}},
		{"accepted late, but in time", fate{3.2, 4}, 5, Count{Opened: 1, Followed: 1, Seconds: 3.89}},
		{"broken off before it was accepted", fate{math.Inf(1), 0.5}, 1, Count{Opened: 1, Followed: 1, Failed: 1, Seconds: 0.48}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tally := newTestTally()
			tally.open(begins("10.0.0.1:30000", endpointA, 7), 0)
			table{7: c.fate}.run(tally, c.after)
			got := tally.counts()[tcp(30000)][endpointA]
			got.Seconds = math.Round(got.Seconds*1e4) / 1e4
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCounts(t *testing.T) {
	cases := []struct {
		name string
		to   string
		from netip.AddrPort
		want bool
	}{
		{"a NodePort and its endpoint", "10.0.0.1:30000", endpointA, true},
		{"another of its endpoints", "10.0.0.1:30000", endpointB, true},
		{"the same endpoint through another NodePort", "10.0.0.1:30001", endpointA, true},
		{"no endpoint of this NodePort", "10.0.0.1:30001", endpointB, false},
		{"no NodePort of ours", "10.0.0.1:30002", endpointA, false},
		{"no address of ours", "10.0.0.9:30000", endpointA, false},
		{"another port of the endpoint", "10.0.0.1:30000", netip.MustParseAddrPort("10.1.0.1:81"), false},
	}
	for _, c := range cases {
		tally := newTestTally()
		if got := tally.open(begins(c.to, c.from, 1), 0); got != c.want || (len(tally.counts()) > 0) != c.want {
			t.Errorf("%s: counted %v, want %v", c.name, got, c.want)
		}
	}
}

// Flows of UDP are counted, and not followed: nothing tells when they are over.
func TestOtherProtocols(t *testing.T) {
	tally, dns := newTally(), NodePort{state.UDP, 30000}
	tally.watch([]netip.Addr{nodeAddr}, []*state.ServicePort{serving(dns, endpointA)})
	flow := begins("10.0.0.1:30000", endpointA, 1)
	if tally.open(flow, 0) {
		t.Error("a connection to the TCP port beside it counts")
	}
	flow.protocol = state.UDP
	if tally.open(flow, 0) {
		t.Error("a flow is followed")
	}
	if got := tally.counts()[dns][endpointA]; got != (Count{Opened: 1}) {
		t.Errorf("counts are %+v, want one that was opened", got)
	}
}

// A NodePort with more than can be followed takes nothing from another one, and all
// that are opened are counted.
func TestBudget(t *testing.T) {
	tally, k := newTestTally(), table{}
	at := 0.0
	for i := range 20000 {
		at = float64(i) / 2000
		to, from := "10.0.0.1:30000", endpointA
		switch i % 100 {
		case 0:
			to = "10.0.0.1:30001"
		case 1:
			from = endpointB
		}
		k[uint64(i)] = lasting(0.001)
		tally.open(begins(to, from, uint64(i)), at)
		k.run(tally, at)
	}
	busy, rare, other := tally.counts()[tcp(30000)][endpointA], tally.counts()[tcp(30000)][endpointB], tally.counts()[tcp(30001)][endpointA]
	if busy.Opened != 19600 || rare.Opened != 200 || other.Opened != 200 {
		t.Errorf("opened %d, %d and %d, want all: 19600, 200, 200", busy.Opened, rare.Opened, other.Opened)
	}
	if all := busy.Followed + rare.Followed; all < 10*perPort || all > 11*perPort {
		t.Errorf("followed %d of a busy NodePort in 10 s, want %d a second", all, perPort)
	}
	if rare.Followed == 0 || other.Followed != 200 {
		t.Errorf("followed %d of a rare endpoint and %d of a quiet NodePort, want some and 200", rare.Followed, other.Followed)
	}
}

func TestAtOnce(t *testing.T) {
	tally, k := newTestTally(), table{}
	for i := range 3 * atOnce {
		k[uint64(i)] = lasting(3600)
		tally.open(begins("10.0.0.1:30000", endpointA, uint64(i)), float64(i)/100)
	}
	if n := len(tally.following); n != atOnce {
		t.Errorf("%d are followed at once, want %d", n, atOnce)
	}
}

// Connections that are kept open take no room from new ones, and those of them that
// are followed are spread as all are.
func TestKept(t *testing.T) {
	tally, k := newTestTally(), table{}
	n := 4 * keptAtOnce
	for i := range n {
		at, from := float64(i)/190, endpointA
		if i%4 == 0 {
			from = endpointB
		}
		k[uint64(i)] = lasting(3600)
		tally.open(begins("10.0.0.1:30000", from, uint64(i)), at)
		k.run(tally, at)
	}
	k.run(tally, float64(n)/190+60)
	a, b := tally.counts()[tcp(30000)][endpointA], tally.counts()[tcp(30000)][endpointB]
	if a.Followed+b.Followed != uint64(n) || a.Open+b.Open != keptAtOnce || len(tally.following) != keptAtOnce {
		t.Errorf("%d followed of %d, %d are open, want %d; %d to look at", a.Followed+b.Followed, n, a.Open+b.Open, keptAtOnce, len(tally.following))
	}
	if part := float64(b.Open) / keptAtOnce; part < 0.22 || part > 0.28 {
		t.Errorf("%v of them are of the endpoint that has a quarter of all", part)
	}
	for i := range k {
		k[i] = lasting(0)
	}
	k.run(tally, 1e6)
	if a, b := tally.counts()[tcp(30000)][endpointA], tally.counts()[tcp(30000)][endpointB]; a.Open+a.Young+b.Open+b.Young != 0 || len(tally.kept) != 0 {
		t.Errorf("in the end %+v and %+v, %d kept", a, b, len(tally.kept))
	}
}

// What was counted stays while a place does, and nothing else does.
func TestWatch(t *testing.T) {
	tally, k := newTestTally(), table{1: lasting(3600), 2: lasting(3600)}
	tally.open(begins("10.0.0.1:30000", endpointA, 1), 0)
	tally.open(begins("10.0.0.1:30000", endpointB, 2), 0)
	addresses := []netip.Addr{nodeAddr}
	tally.watch(addresses, []*state.ServicePort{serving(tcp(30000), endpointA)})
	k.run(tally, 1)
	want := map[NodePort]map[netip.AddrPort]Count{tcp(30000): {endpointA: {Opened: 1, Followed: 1, Young: 1, Open: 1, Seconds: 0.64}}}
	got := tally.counts()
	same := cmp.Options{cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" && !cmp.Equal(want, got, same) {
		t.Errorf("(-want +got):\n%s", diff)
	}
	tally.watch(addresses, []*state.ServicePort{serving(tcp(30000), endpointA, endpointB)})
	if c, ok := tally.counts()[tcp(30000)][endpointB]; ok {
		t.Errorf("an endpoint that came back begins with %+v", c)
	}
	renamed := serving(tcp(30000), endpointA)
	renamed.Name = "other"
	tally.watch(addresses, []*state.ServicePort{renamed})
	if c := tally.counts()[tcp(30000)][endpointA]; c.Opened != 1 {
		t.Errorf("behind the NodePort of another Service, an endpoint that stays has %+v", c)
	}
	skipped := *renamed
	skipped.Skipped = "annotated"
	tally.watch(addresses, []*state.ServicePort{&skipped})
	if tally.open(begins("10.0.0.1:30000", endpointA, 3), 2) || len(tally.counts()) > 0 {
		t.Errorf("what is left to kube-proxy counts: %+v", tally.counts())
	}
}

func TestWatchTellsOfOtherNodePorts(t *testing.T) {
	tally := newTestTally()
	left := serving(tcp(30001), endpointA)
	left.Skipped = "annotated"
	for _, c := range []struct {
		name string
		list []*state.ServicePort
		want bool
	}{
		{"one goes", []*state.ServicePort{serving(tcp(30000), endpointA)}, true},
		{"other endpoints", []*state.ServicePort{serving(tcp(30000), endpointB)}, false},
		{"one more", []*state.ServicePort{serving(tcp(30000), endpointB), serving(tcp(30001), endpointA)}, true},
		{"one is left to kube-proxy", []*state.ServicePort{serving(tcp(30000), endpointB), left}, true},
		{"and goes", []*state.ServicePort{serving(tcp(30000), endpointB)}, false},
		{"another NodePort", []*state.ServicePort{serving(tcp(30002), endpointB)}, true},
		{"none", nil, true},
	} {
		if got := tally.watch([]netip.Addr{nodeAddr}, c.list); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// After a loss nothing is open, the counters stay, and looks that are under way
// change nothing.
func TestForget(t *testing.T) {
	tally := newTestTally()
	tally.open(begins("10.0.0.1:30000", endpointA, 1), 0)
	tally.open(begins("10.0.0.1:30000", endpointA, 2), 0)
	due := tally.due(0.005, 1)
	tally.forget()
	tally.lost(due[0])
	c := tally.counts()[tcp(30000)][endpointA]
	if c.Young != 0 || c.Open != 0 || c.Opened != 2 || len(tally.following) != 0 {
		t.Errorf("counts are %+v with %d followed", c, len(tally.following))
	}
	tally.saw(due[0], sight{id: due[0].entry.id, open: true, accepted: true}, 1)
	if d := tally.counts()[tcp(30000)][endpointA]; d != c || len(tally.following) != 0 {
		t.Errorf("a late look changed %+v to %+v", c, d)
	}
}

// Whatever connections do, the sums are right within what looks can tell, the
// counters only grow, and in the end nothing is left.
func TestTallyAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally, k := newTestTally(), table{}
		at, truth := 0.0, 0.0
		failed := uint64(0)
		var before Count
		n := rapid.IntRange(1, 40).Draw(t, "connections")
		for i := range n {
			at += rapid.Float64Range(0.006, 1).Draw(t, "apart")
			f := rapid.OneOf(
				rapid.Map(rapid.Float64Range(0, 20), lasting),
				rapid.Map(rapid.Float64Range(0, 0.1), lasting),
				rapid.SampledFrom([]fate{refused, swallowed}),
			).Draw(t, "fate")
			k[uint64(i)] = f
			switch f {
			case refused:
				failed++
			case swallowed:
				failed++
				truth += patience.Seconds()
			default:
				truth += min(f.ends, Youth.Seconds())
			}
			tally.open(begins("10.0.0.1:30000", endpointA, uint64(i)), at)
			k.run(tally, at)
			now := tally.counts()[tcp(30000)][endpointA]
			if now.Opened < before.Opened || now.Followed < before.Followed || now.Failed < before.Failed || now.Seconds < before.Seconds || now.Young < 0 || now.Open < now.Young {
				t.Fatalf("counts went from %+v to %+v", before, now)
			}
			before = now
		}
		k.run(tally, at+30)
		got := tally.counts()[tcp(30000)][endpointA]
		if got.Young != 0 || got.Open != 0 || len(tally.kept) != 0 || len(tally.following) != 0 || got.Failed != failed || got.Opened != uint64(n) || got.Followed != uint64(n) {
			t.Fatalf("in the end counts are %+v, %d still followed; want %d failed of %d", got, len(tally.following), failed, n)
		}
		if slack := float64(n) * 0.005; got.Seconds < truth*3/4-slack || got.Seconds > truth*3/2+slack {
			t.Fatalf("%v seconds, want about %v", got.Seconds, truth)
		}
	})
}

// TestChange checks that whoever knows the number of the change knows whether anything
// else is new, and is given the same counts as long as nothing is.
func TestChange(t *testing.T) {
	tally := newTestTally()
	tally.watch([]netip.Addr{netip.MustParseAddr("10.0.0.1")}, []*state.ServicePort{serving(tcp(30000), endpointA)})
	before := tally.change
	steps := []struct {
		name  string
		do    func()
		isNew bool
	}{
		{"nothing", func() {}, false},
		{"one that does not count", func() { tally.open(begins("10.0.0.1:30009", endpointA, 1), 0) }, false},
		{"opened", func() { tally.open(begins("10.0.0.1:30000", endpointA, 1), 0) }, true},
		{"looked at", func() { tally.saw(tally.due(1, 1)[0], sight{id: 1, open: true, accepted: true}, 1) }, true},
		{"still nothing", func() {}, false},
		{"lost", func() { tally.lost(tally.due(9, 1)[0]) }, true},
		{"others to watch", func() { tally.watch(nil, nil) }, true},
	}
	for _, s := range steps {
		old := tally.counts()
		s.do()
		if got := tally.change != before; got != s.isNew {
			t.Errorf("%s: is new = %v, want %v", s.name, got, s.isNew)
		}
		if before = tally.change; !s.isNew && reflect.ValueOf(old).Pointer() != reflect.ValueOf(tally.counts()).Pointer() {
			t.Errorf("%s: the counts were made again", s.name)
		}
	}
}
