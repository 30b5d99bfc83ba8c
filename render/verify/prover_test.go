package verify_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/nft"
	"weft/render/verify"
	"weft/state"
)

// scene is a kernel that holds the rules of a state, a subscription that hears of
// every change, and a prover that follows.
type scene struct {
	t      *testing.T
	ns     *lab.Namespace
	shape  shape
	events chan nft.Event
	sub    *nft.Subscription
	p      *verify.Prover
	st     *state.State
	random *rand.Rand
}

func newScene(t *testing.T, s shape, servicePorts int) *scene {
	t.Helper()
	sc := &scene{t: t, ns: labtest.Scratch(t), shape: s, events: make(chan nft.Event, 100), st: cluster(servicePorts), random: rand.New(rand.NewPCG(1, 2))}
	err := sc.ns.Do(func() (err error) {
		sc.sub, err = nft.Subscribe("weft", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- sc.sub.Run(context.Background(), func(e nft.Event) { sc.events <- e }) }()
	t.Cleanup(func() {
		_ = sc.sub.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	sc.reload()
	sc.p = prover(t, sc.ns, sc.st)
	return sc
}

func (sc *scene) reload() {
	sc.t.Helper()
	load(sc.t, sc.ns, "table ip weft\ndelete table ip weft\n"+ruleset(sc.st, sc.shape, verify.MasqueradeAll))
}

// follow brings the prover up to date, as far as it can by what was touched.
func (sc *scene) follow() {
	sc.t.Helper()
	gen, err := sc.p.Latest(context.Background())
	if err == nil {
		err = sc.sub.Heard(context.Background(), gen)
	}
	if err != nil {
		sc.t.Fatal(err)
	}
	for len(sc.events) > 0 {
		e := <-sc.events
		if _, err := sc.p.Refresh(context.Background(), e.Touched); errors.Is(err, verify.ErrWhole) {
			err = sc.p.Read(context.Background())
			if err != nil {
				sc.t.Fatal(err)
			}
		} else if err != nil {
			sc.t.Fatal(err)
		}
	}
}

// changed is the state with other shares for one ServicePort.
func (sc *scene) changed(i int) *state.State {
	st := *sc.st
	st.ServicePorts = slices.Clone(st.ServicePorts)
	sp := *st.ServicePorts[i]
	sp.Endpoints = slices.Clone(sp.Endpoints)
	sp.Endpoints[0].Share, sp.Endpoints[9].Share = sp.Endpoints[9].Share, sp.Endpoints[0].Share
	st.ServicePorts[i] = &sp
	return &st
}

// explain makes a state of which every record is another, and asks for the same.
func (sc *scene) explain() {
	st := *sc.st
	st.ServicePorts = slices.Clone(st.ServicePorts)
	for i, sp := range st.ServicePorts {
		other := *sp
		other.Factors = []state.Factor{{Node: "node-1", Target: sc.random.Float64()}}
		st.ServicePorts[i] = &other
	}
	sc.st = &st
}

func (sc *scene) chain(i int) string {
	sp := sc.st.ServicePorts[i]
	return fmt.Sprintf("flush chain ip weft svc-%[1]d\ntable ip weft {\n\tchain svc-%[1]d {\n%[2]s\t}\n}\n", i, sc.shape("ip", sp, sp.Endpoints))
}

// TestProverAgrees makes good and bad changes of every kind at random: what the
// prover says after it looked at what was touched is what a reading of everything
// says.
func TestProverAgrees(t *testing.T) {
	for name, s := range map[string]shape{"inline": inline, "cascade": cascade} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, s, 12)
			bad, want := 0, verify.Want{Heartbeat: "nodeport-ips"}
			for step := range 150 {
				i := sc.random.IntN(12)
				what := sc.change(i)
				sc.follow()
				report := sc.p.Check(sc.st, want)
				whole := verify.Check(read(t, sc.ns), sc.st, want)
				if report.OK() != whole.OK() {
					t.Fatalf("step %d, %s of %d: the prover says\n%s\nand everything says\n%s", step, what, i, report, whole)
				}
				if !whole.OK() {
					bad++
					sc.reload()
				}
			}
			if bad < 20 || bad > 120 {
				t.Errorf("%d of 150 changes were bad: the test proves little", bad)
			}
		})
	}
}

// TestExplanationsAreNoQuestion: records that only explain their shares otherwise
// are not asked about, and are found all the same when their rules change.
func TestExplanationsAreNoQuestion(t *testing.T) {
	sc := newScene(t, cascade, 12)
	sc.follow()
	if r := sc.p.Check(sc.st, verify.Want{}); !r.OK() || r.Proven != 12 {
		t.Fatal(r)
	}
	for i := range 3 {
		sc.explain()
		if r := sc.p.Check(sc.st, verify.Want{}); !r.OK() || r.Proven != 0 {
			t.Fatalf("%d were asked about again: %s", r.Proven, r)
		}
		sc.explain()
		load(t, sc.ns, fmt.Sprintf("flush chain ip weft svc-%d\n", i))
		sc.follow()
		if r := sc.p.Check(sc.st, verify.Want{}); len(r.Differs) == 0 || r.Differs[0].ServicePort != sc.st.ServicePorts[i].ID() {
			t.Fatalf("ServicePort %d has no rules, and the prover says %s", i, r)
		}
		load(t, sc.ns, sc.chain(i))
		sc.follow()
		if r := sc.p.Check(sc.st, verify.Want{}); !r.OK() {
			t.Fatal(r)
		}
	} // The last one goes, and its chain stays: nothing comes there any more.
	sc.explain()
	if r := sc.p.Check(sc.st, verify.Want{}); !r.OK() {
		t.Fatal(r)
	}
	gone := *sc.st.ServicePorts[11]
	st := *sc.st
	st.ServicePorts = st.ServicePorts[:11]
	sc.st = &st
	load(t, sc.ns, fmt.Sprintf("delete element ip weft service-nodeports { tcp . %[1]d }\ndelete element ip weft tcp-nodeports { %[1]d }\n", gone.NodePort))
	sc.follow()
	if r := sc.p.Check(sc.st, verify.Want{}); len(r.Differs) != 1 || r.Differs[0].Chain != "svc-11" {
		t.Errorf("chain svc-11 is of no use, and the prover says %s", r)
	}
}

// TestReadsOnlyWhatChanged counts what is asked of the kernel for a proof, in a
// table where a proof of everything takes hundreds of requests.
func TestReadsOnlyWhatChanged(t *testing.T) {
	for name, s := range map[string]shape{"inline": inline, "cascade": cascade} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, s, 300)
			sc.follow() // the load itself
			if r := sc.p.Check(sc.st, verify.Want{}); !r.OK() {
				t.Fatal(r)
			}
			steps := []struct {
				what, text string
				most       int
			}{
				{"heartbeat", "add element ip weft nodeport-ips { 10.34.4.141 timeout 60s }\ndelete element ip weft nodeport-ips { 10.34.4.141 }\nadd element ip weft nodeport-ips { 10.34.4.141 timeout 60s }\n", 6},
				{"the same rules again", sc.chain(7), 10},
				{"another table", "table ip other {\n\tchain c {\n\t\tcounter\n\t}\n}\n", 2},
				{"element taken and put back", "delete element ip weft service-nodeports { tcp . 30011 }\nadd element ip weft service-nodeports { tcp . 30011 : goto svc-11 }\n", 6},
			}
			for _, step := range steps {
				before := sc.p.Requests()
				load(t, sc.ns, step.text)
				sc.follow()
				if r := sc.p.Check(sc.st, verify.Want{}); !r.OK() {
					t.Errorf("%s: %v", step.what, r)
				}
				if n := sc.p.Requests() - before; n > step.most {
					t.Errorf("%s: %d requests, want at most %d", step.what, n, step.most)
				}
			}
			before := sc.p.Requests()
			if err := sc.p.Read(context.Background()); err != nil {
				t.Fatal(err)
			}
			if n := sc.p.Requests() - before; name == "inline" && n < 300 {
				t.Errorf("everything: %d requests, want hundreds", n)
			}
		})
	}
}

// change makes one change, of the kernel or of what is wanted or of both.
func (sc *scene) change(i int) string {
	sc.t.Helper()
	sp := sc.st.ServicePorts[i]
	element := fmt.Sprintf("element ip weft service-nodeports { tcp . %d", sp.NodePort)
	port := fmt.Sprintf("element ip weft tcp-nodeports { %d }\n", sp.NodePort)
	type step struct {
		what string
		make func() string
	}
	steps := []step{
		{"good shares", func() string { sc.st = sc.changed(i); return sc.chain(i) }},
		{"shares that are not loaded", func() string { sc.st = sc.changed(i); return "" }},
		{"the same rules again", func() string { return sc.chain(i) }},
		{"shares explained otherwise", func() string { sc.explain(); return "" }},
		{"no rules", func() string { return fmt.Sprintf("flush chain ip weft svc-%d\n", i) }},
		{"skipped", func() string {
			st := *sc.st
			st.ServicePorts = slices.Clone(st.ServicePorts)
			skipped := *sp
			skipped.Skipped = "why not"
			st.ServicePorts[i] = &skipped
			sc.st = &st
			if !sp.Steered() {
				return ""
			}
			return fmt.Sprintf("delete %s }\ndelete %sflush chain ip weft svc-%d\ndelete chain ip weft svc-%d\n", element, port, i, i)
		}},
		{"deleted from the state alone", func() string {
			st := *sc.st
			st.ServicePorts = slices.Delete(slices.Clone(st.ServicePorts), i, i+1)
			old := sc.st
			sc.st = &st
			sc.follow()
			if sc.p.Check(sc.st, verify.Want{}).OK() && old.ServicePorts[i].Steered() {
				sc.t.Error("a ServicePort that is gone has rules, and all is proven")
			}
			sc.st = old
			return ""
		}},
		{"masquerade gone", func() string { return "delete " + port }},
		{"element gone", func() string { return "delete " + element + " }\n" }},
		{"element elsewhere", func() string {
			return fmt.Sprintf("delete %[1]s }\nadd %[1]s : goto svc-%[2]d }\n", element, (i+1)%12)
		}},
		{"extra element", func() string {
			return fmt.Sprintf("add element ip weft service-nodeports { tcp . %d : goto svc-%d }\n", 31000+i, i)
		}},
		{"extra masquerade", func() string { return fmt.Sprintf("add element ip weft tcp-nodeports { %d }\n", 31000+i) }},
		{"chain of nobody", func() string { return "add chain ip weft stray\n" }},
		{"chain for other ports", func() string { return fmt.Sprintf("add rule ip weft services tcp dport %d drop\n", 31000+i) }},
		{"counter before everything", func() string { return "insert rule ip weft services counter\n" }},
		{"base chain", func() string {
			return fmt.Sprintf("add chain ip weft gate { type filter hook prerouting priority -300 ; policy accept ; }\nadd rule ip weft gate tcp dport %d drop\n", sp.NodePort)
		}},
		{"rule for some sources", func() string {
			return fmt.Sprintf("insert rule ip weft svc-%d ip saddr 192.0.2.0/24 accept\n", i)
		}},
		{"connections that exist are dropped", func() string {
			return "add chain ip weft later { type filter hook forward priority 0 ; }\nadd rule ip weft later ct state established drop\n"
		}},
		{"set that packets fill, looked up", func() string {
			return fmt.Sprintf("add set ip weft seen { type ipv4_addr ; flags timeout ; }\ninsert rule ip weft svc-%d ip saddr @seen drop\nadd rule ip weft postrouting tcp dport 22 add @seen { ip saddr }\n", i)
		}},
		{"set that packets fill", func() string {
			return "add set ip weft seen { type ipv4_addr ; flags timeout ; }\nadd rule ip weft postrouting tcp dport 22 add @seen { ip saddr }\n"
		}},
		{"set of addresses, looked up", func() string {
			return fmt.Sprintf("add set ip weft seen { type ipv4_addr ; flags timeout ; }\ninsert rule ip weft svc-%d ip saddr @seen drop\n", i)
		}},
		{"rule without the heartbeat", func() string {
			return fmt.Sprintf("add rule ip weft services ip daddr 10.34.4.141 tcp dport %d goto svc-%d\n", sp.NodePort, i)
		}},
		{"limit", func() string { return fmt.Sprintf("insert rule ip weft svc-%d limit rate over 1/second drop\n", i) }},
		{"base chain of the same priority", func() string {
			return "add chain ip weft second { type nat hook prerouting priority -150 ; }\nadd rule ip weft second counter\n"
		}},
		{"address gone", func() string { return "delete element ip weft nodeport-ips { 10.34.4.141 }\n" }},
		{"address added", func() string { return "add element ip weft nodeport-ips { 10.34.4.142 }\n" }},
		{"another table", func() string { return "add table ip6 weft\ndelete table ip6 weft\n" }},
	}
	s := steps[sc.random.IntN(len(steps))]
	text := s.make()
	if text != "" && sc.ns.Load(text) != nil && !strings.Contains(text, "add chain") {
		return s.what + ", which the kernel refuses" // of what was skipped before
	}
	return s.what
}
