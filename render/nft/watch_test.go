package nft_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/nft"
	"weft/render/verify/nfnl"
)

const watched = `table ip weft {
	set nodeport-ips { type ipv4_addr; flags timeout; elements = { 10.34.4.141 timeout 60s } }
	map service-nodeports {
		type inet_proto . inet_service : verdict
		elements = { tcp . 30000 comment "riset/hellopod" : goto svc }
	}
	chain svc {
		meta l4proto tcp dnat to 10.42.0.1:8080 comment "100%"
	}
	chain prerouting {
		type nat hook prerouting priority -150; policy accept;
		ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
	}
}
`

// watch runs a subscription in the namespace until the test ends.
func watch(t *testing.T, ns *lab.Namespace, own *nft.Own) <-chan nft.Event {
	t.Helper()
	var s *nft.Subscription
	err := ns.Do(func() (err error) {
		s, err = nft.Subscribe("weft", own)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, s, func(nft.Event) {})
}

// run hands each event to on first.
func run(t *testing.T, s *nft.Subscription, on func(nft.Event)) <-chan nft.Event {
	t.Helper()
	events := make(chan nft.Event, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(e nft.Event) {
			on(e)
			events <- e
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return events
}

// next is the next event within a second.
func next(t *testing.T, events <-chan nft.Event) nft.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(time.Second):
		t.Fatal("no event within a second")
		return nft.Event{}
	}
}

// silent fails when anything is told.
func silent(t *testing.T, events <-chan nft.Event) {
	t.Helper()
	select {
	case e := <-events:
		t.Fatalf("event %v, want none", e)
	case <-time.After(200 * time.Millisecond):
	}
}

func load(t *testing.T, ns *lab.Namespace, text string) {
	t.Helper()
	if err := ns.Load(text); err != nil {
		t.Fatal(err)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestForeignChanges(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"rule added", "add rule ip weft svc drop comment \"mine\"", []string{"rule N of chain ip weft svc (mine) added"}},
		{"rule deleted", "flush chain ip weft svc", []string{"rule N of chain ip weft svc (100%) deleted"}},
		{"chain added", "add chain ip weft other", []string{"chain ip weft other added"}},
		{"chain deleted", "add chain ip weft other; delete chain ip weft other", []string{"chain ip weft other added", "chain ip weft other deleted"}},
		{"policy changed", "chain ip weft prerouting { policy drop; }", []string{"chain ip weft prerouting added"}},
		{"set added", "add set ip weft s { type inet_service; }", []string{"set ip weft s added"}},
		{"element added", "add element ip weft nodeport-ips { 10.34.4.142 }", []string{"element 0x0a22048e of set ip weft nodeport-ips added"}},
		{"element deleted", "delete element ip weft nodeport-ips { 10.34.4.141 }", []string{"element 0x0a22048d of set ip weft nodeport-ips deleted"}},
		{"set emptied", "flush set ip weft nodeport-ips", []string{"element 0x0a22048d of set ip weft nodeport-ips deleted"}},
		{
			"element changed", "delete element ip weft service-nodeports { tcp . 30000 }; add element ip weft service-nodeports { tcp . 30000 : drop }",
			[]string{
				"element 0x0600000075300000 of set ip weft service-nodeports (riset/hellopod) deleted",
				"element 0x0600000075300000 of set ip weft service-nodeports added",
			},
		},
		{"table of another family", "add table ip6 weft", []string{"table ip6 weft added"}},
		{"counter", "add counter ip weft n", []string{"object ip weft n added"}},
		{"dormant", "table ip weft { flags dormant; }", []string{"table ip weft added"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns := labtest.Scratch(t)
			load(t, ns, watched)
			events := watch(t, ns, new(nft.Own))
			load(t, ns, strings.ReplaceAll(tt.text, "; ", "\n")+"\n")
			e := next(t, events)
			if diff := cmp.Diff(tt.want, told(e)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if e.Own || e.Lost || e.Expired || e.Process.Name != "nft" || e.Process.ID == 0 || e.Generation == 0 {
				t.Errorf("event = %+v, want a foreign one of nft", e)
			}
			load(t, ns, "add table ip other\n")
			silent(t, events)
		})
	}
}

// told is the changes in words, without the numbers of rules.
func told(e nft.Event) []string {
	var list []string
	for _, c := range e.Changes {
		s := c.String()
		if c.Kind == nft.Rule {
			_, rest, _ := strings.Cut(s, " of ")
			s = "rule N of " + rest
		}
		list = append(list, s)
	}
	return list
}

func TestForeignDeletion(t *testing.T) {
	for _, text := range []string{"delete table ip weft\n", "flush ruleset\n"} {
		t.Run(strings.TrimSpace(text), func(t *testing.T) {
			ns := labtest.Scratch(t)
			load(t, ns, watched)
			events := watch(t, ns, nil)
			load(t, ns, text)
			e := next(t, events)
			if e.Changes[0].String() != "table ip weft deleted" {
				t.Errorf("the first change is %s, want the table's", e.Changes[0])
			}
			list := strings.Join(told(e), "\n")
			for _, want := range []string{
				"table ip weft deleted", "chain ip weft svc deleted", "set ip weft nodeport-ips deleted",
				"rule N of chain ip weft prerouting deleted",
			} {
				if !strings.Contains(list, want) {
					t.Errorf("changes = %s\nwant %q among them", list, want)
				}
			}
		})
	}
}

func TestOtherTablesAreNoEvent(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, watched)
	events := watch(t, ns, nil)
	for _, text := range []string{
		strings.ReplaceAll(watched, "weft", "weft2"),
		strings.ReplaceAll(watched, "weft", "wef"),
		"table bridge weft {\n\tchain c {\n\t}\n}\n",
		"delete table ip weft2\n",
	} {
		load(t, ns, text)
	}
	silent(t, events)
	load(t, ns, "add chain ip weft x\nadd chain ip wef x\n")
	e := next(t, events)
	if diff := cmp.Diff([]string{"chain ip weft x added"}, told(e)); diff != "" {
		t.Errorf("a transaction over two tables (-want +got):\n%s", diff)
	}
}

func TestOwnTransactions(t *testing.T) {
	ns := labtest.Scratch(t)
	own := new(nft.Own)
	events := watch(t, ns, own)
	err := ns.Do(func() error {
		for range 20 {
			if err := (nft.Runner{Own: own}).Load(t.Context(), watched); err != nil {
				return err
			}
			if e := next(t, events); !e.Own || len(e.Changes) > 0 || e.More == 0 || len(e.Touched) != 1 {
				t.Errorf("event %+v, want our own, of which the tables and the number are told", e)
			}
			if err := (nft.Runner{}).Load(t.Context(), "delete table ip weft\n"); err != nil {
				return err
			}
			if e := next(t, events); e.Own || len(e.Changes) == 0 || e.More > 0 {
				t.Errorf("event %+v, want one of somebody else with all that changed", e)
			}
		}
		return nft.Runner{Own: own}.Check(t.Context(), watched)
	})
	if err != nil {
		t.Fatal(err)
	}
	silent(t, events)
}

func TestLostNotifications(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, watched)
	var s *nft.Subscription
	err := ns.Do(func() (err error) {
		s, err = nft.SubscribeWithQueue("weft", 4096)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	load(t, ns, "table ip other {\n\tchain c {\n"+strings.Repeat("\t\ttcp dport 80 accept\n", 500)+"\t}\n}\n")
	load(t, ns, "add chain ip weft unheard\n")
	// What happens while somebody deals with the loss must be heard again.
	events := run(t, s, func(e nft.Event) {
		if e.Lost {
			load(t, ns, "add chain ip weft heard\n")
		}
	})
	if e := next(t, events); !e.Lost || e.String() != "notifications lost" {
		t.Errorf("event = %v, want that some were lost", e)
	}
	if diff := cmp.Diff([]string{"chain ip weft heard added"}, told(next(t, events))); diff != "" {
		t.Errorf("after the loss (-want +got):\n%s", diff)
	}
	silent(t, events)
}

// TestLongTransaction: an event is bounded, and counts what it leaves out.
func TestLongTransaction(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, watched)
	events := watch(t, ns, nil)
	load(t, ns, strings.Repeat("add rule ip weft svc accept\n", 1000))
	e := next(t, events)
	if len(e.Changes)+e.More != 1000 || len(e.Changes) > 100 {
		t.Errorf("%d changes and %d more, want 1000 of which few are told", len(e.Changes), e.More)
	}
	if s := e.String(); !strings.Contains(s, "and 997 more changes by nft (process ") {
		t.Errorf("event = %q", s)
	}
	load(t, ns, "delete table ip weft\n")
	if s := next(t, events).String(); !strings.HasPrefix(s, "table ip weft deleted, ") {
		t.Errorf("event = %q, want the table first", s)
	}
}

func TestCloseEndsRun(t *testing.T) {
	var s *nft.Subscription
	err := labtest.Scratch(t).Do(func() (err error) {
		s, err = nft.Subscribe("weft", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context(), func(nft.Event) {}) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Second):
		t.Error("the subscription runs on")
	}
}

// TestElementsEnd: the end of an element's time is no foreign change, whether
// the kernel tells of it or not.
func TestElementsEnd(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, watched)
	load(t, ns, "add element ip weft nodeport-ips { 10.34.4.142 timeout 300ms }\n")
	events := watch(t, ns, nil)
	for timeout := time.After(2500 * time.Millisecond); ; {
		select {
		case e := <-events:
			if !e.Expired {
				t.Errorf("event %v, want none or an end", e)
			}
		case <-timeout:
			return
		}
	}
}

// TestTouchedNamesWhatChanged: objects by name and elements by key, whoever
// changed them; the sets of single rules are no names.
func TestTouchedNamesWhatChanged(t *testing.T) {
	ip, key := nfnl.TableID{Family: nfnl.IPv4, Name: "weft"}, "\x06\x00\x00\x00\x75\x30\x00\x00"
	chains := func(names ...string) *nfnl.Touched {
		touched := &nfnl.Touched{}
		for _, n := range names {
			touched.Chain([]byte(n))
		}
		return touched
	}
	element := &nfnl.Touched{}
	element.Element([]byte("service-nodeports"), []byte(key))
	added := chains("new")
	added.Set([]byte("s"))
	var tooMuch strings.Builder
	for port := range 5000 {
		fmt.Fprintf(&tooMuch, "add element ip weft service-nodeports { udp . %d : drop }\n", port+1)
	}
	tests := []struct {
		name, text string
		want       map[nfnl.TableID]*nfnl.Touched
	}{
		{
			"chain refilled", "flush chain ip weft svc\ntable ip weft {\n\tchain svc {\n\t\tmeta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.42.0.1 . 80, 1 : 10.42.0.2 . 80 }\n\t}\n}\n",
			map[nfnl.TableID]*nfnl.Touched{ip: chains("svc")},
		},
		{
			"element replaced", "delete element ip weft service-nodeports { tcp . 30000 }\nadd element ip weft service-nodeports { tcp . 30000 : drop }\n",
			map[nfnl.TableID]*nfnl.Touched{ip: element},
		},
		{
			"set and chain added", "add set ip weft s { type inet_service; }\nadd element ip weft s { 1 }\nadd chain ip weft new\n",
			map[nfnl.TableID]*nfnl.Touched{ip: added},
		},
		{"counter", "add counter ip weft n\n", map[nfnl.TableID]*nfnl.Touched{ip: {Whole: true}}},
		{"table deleted", "delete table ip weft\n", map[nfnl.TableID]*nfnl.Touched{ip: {Whole: true}}},
		{
			"another family", "add table ip6 weft\nadd chain ip weft x\n",
			map[nfnl.TableID]*nfnl.Touched{ip: chains("x"), {Family: nfnl.IPv6, Name: "weft"}: {Whole: true}},
		},
		{"too much", tooMuch.String(), map[nfnl.TableID]*nfnl.Touched{ip: {Whole: true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns := labtest.Scratch(t)
			load(t, ns, watched)
			events := watch(t, ns, nil)
			load(t, ns, tt.text)
			if diff := cmp.Diff(tt.want, next(t, events).Touched); diff != "" {
				t.Errorf("touched (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHeard waits for what a transaction changed, and for no other's sake.
func TestHeard(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, watched)
	var s *nft.Subscription
	err := ns.Do(func() (err error) {
		s, err = nft.Subscribe("weft", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	events := run(t, s, func(nft.Event) { time.Sleep(50 * time.Millisecond) })
	for _, text := range []string{"add chain ip weft x\n", "add table ip other\n", "delete chain ip weft x\n"} {
		load(t, ns, text)
		if err := s.Heard(t.Context(), generation(t, ns)); err != nil {
			t.Fatal(err)
		}
	}
	if len(events) != 2 {
		t.Errorf("%d events were told before the wait was over, want 2", len(events))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Heard(ctx, generation(t, ns)+1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a transaction that nobody made: %v", err)
	}
}

func generation(t *testing.T, ns *lab.Namespace) uint32 {
	t.Helper()
	conn, err := nfnl.Dial(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	gen, err := conn.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return gen
}

// TestLossEndsWaiting: what was lost is not waited for, and neither is what
// nobody listens to.
func TestLossEndsWaiting(t *testing.T) {
	ns, s := overflowed(t)
	waited := make(chan error, 2)
	go func() { waited <- s.Heard(t.Context(), 1<<30) }()
	time.Sleep(20 * time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context(), func(nft.Event) {}) }()
	if err := <-waited; !errors.Is(err, nft.ErrLost) {
		t.Errorf("waiting over a loss: %v, want ErrLost", err)
	}
	go func() { waited <- s.Heard(t.Context(), 1<<30) }()
	load(t, ns, "add table ip other\n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-waited; !errors.Is(err, nft.ErrLost) {
		t.Errorf("waiting for a closed subscription: %v, want ErrLost", err)
	}
}

// overflowed is a subscription that lost something, which nobody runs yet.
func overflowed(t *testing.T) (*lab.Namespace, *nft.Subscription) {
	t.Helper()
	ns := labtest.Scratch(t)
	load(t, ns, watched)
	var s *nft.Subscription
	err := ns.Do(func() (err error) {
		s, err = nft.SubscribeWithQueue("weft", 4096)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	load(t, ns, "table ip other {\n\tchain c {\n"+strings.Repeat("\t\ttcp dport 80 accept\n", 500)+"\t}\n}\n")
	return ns, s
}

// TestCloseDuringLoss closes at the moment when a loss is told, and while the
// queue is emptied: neither is an error of Run.
func TestCloseDuringLoss(t *testing.T) {
	for i := range 20 {
		_, s := overflowed(t)
		done := make(chan error, 1)
		told := make(chan struct{}, 1)
		go func() {
			done <- s.Run(t.Context(), func(nft.Event) {
				if i%2 == 0 {
					_ = s.Close()
				}
				told <- struct{}{}
			})
		}()
		if i%2 == 0 {
			<-told
		}
		_ = s.Close() // closed already in every other round
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}
