package weight_test

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/state"
	"weft/state/weight"
)

// play is a cluster that a test leads through time. Times are in seconds since
// noon.
type play struct {
	t       *testing.T
	engine  *weight.Engine
	st      *state.State
	before  *state.State
	latency []float64
	busy    []float64
	conns   *weight.Connections
	at      int
	last    *state.State
}

func begin(t *testing.T, c weight.Config, latency, busy []float64) *play {
	st := cluster(latency, nil)
	return &play{t: t, engine: weight.New(c, "me"), st: st, latency: slices.Clone(latency), busy: slices.Clone(busy)}
}

func (p *play) now() time.Time { return noon.Add(time.Duration(p.at) * time.Second) }

// until goes on to a time second by second, with measurements every five.
func (p *play) until(at int) *state.ServicePort {
	p.t.Helper()
	for ; p.at <= at; p.at++ {
		if p.at%5 == 0 {
			measure(p.st, p.latency, p.busy, p.now())
		}
		if p.conns != nil {
			p.conns.At = p.now()
		}
		p.last, _ = p.engine.Step(p.now(), weight.Inputs{State: p.st, Before: p.before, Connections: p.conns})
		p.last.Written = p.now()
		if err := state.Validate(p.last); err != nil {
			p.t.Fatal(err)
		}
	}
	return p.last.ServicePorts[0]
}

// change replaces the ServicePort by a changed copy.
func (p *play) change(f func(*state.ServicePort)) {
	c := *p.st.ServicePorts[0]
	c.Endpoints = slices.Clone(c.Endpoints)
	f(&c)
	p.st.ServicePorts = []*state.ServicePort{&c}
}

func (p *play) wants(what string, want ...float64) {
	p.t.Helper()
	if d := moved(want, sharesOf(p.last.ServicePorts[0])); d > 0.0051 {
		p.t.Errorf("%s: got %.3f, want %.3f", what, sharesOf(p.last.ServicePorts[0]), want)
	}
}

func (p *play) wantsHeld(what string, want ...state.Hold) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.last.ServicePorts[0].Held); diff != "" {
		p.t.Errorf("%s: held (-want +got):\n%s", what, diff)
	}
}

func same(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }

func TestUnreachable(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 4), same(.1, 4))
	p.until(60)
	p.wants("all answer", .25, .25, .25, .25)
	p.st.Nodes[3].Unreachable = p.now()
	p.until(61)
	p.wants("one is out, at once", 1/3., 1/3., 1/3., 0)
	p.wantsHeld("one is out")
	p.st.Nodes[2].Unreachable = p.now()
	p.until(62)
	p.wants("half are out", .5, .5, 0, 0)
	p.st.Nodes[1].Unreachable = p.now()
	p.until(63)
	p.wants("most are out, so it is rather me", .25, .25, .25, .25)
	p.st.Nodes[0].Unreachable = p.now()
	p.until(80)
	p.wants("all are out", .25, .25, .25, .25)
	p.wantsHeld("all are out", state.HoldPanic, state.HoldStale)
	for i := range p.st.Nodes {
		p.st.Nodes[i].Unreachable = time.Time{}
	}
	p.until(82)
	p.wants("all are back", .25, .25, .25, .25)
}

func TestReturn(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 3), same(.1, 3))
	p.until(30)
	p.st.Nodes[2].Unreachable = p.now()
	p.until(60)
	p.wants("out", .5, .5, 0)
	p.st.Nodes[2].Unreachable = time.Time{}
	p.until(61)
	p.wants("back, with a third at first", 3/7., 3/7., 1/7.)
	p.wantsHeld("back", state.HoldSlowStart)
	p.until(120)
	p.wants("back in full", 1/3., 1/3., 1/3.)
	p.wantsHeld("back in full")
}

// A Service whose nodes are all out, while others answer, is left as it was.
func TestAllNodesOfAServiceOut(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 6), same(.1, 6))
	p.change(func(sp *state.ServicePort) {
		sp.Endpoints = sp.Endpoints[:2]
		sp.Endpoints[0].Share, sp.Endpoints[1].Share = .5, .5
	})
	p.until(70)
	p.st.Nodes[0].Unreachable, p.st.Nodes[1].Unreachable = p.now(), p.now()
	p.until(100)
	p.wants("both are out", .5, .5)
	p.wantsHeld("both are out", state.HoldPanic, state.HoldStale)
}

func TestSlowStart(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 3), same(.1, 3))
	all := p.st.ServicePorts[0].Endpoints
	p.change(func(sp *state.ServicePort) {
		sp.Endpoints = all[:2]
		sp.Endpoints[0].Share, sp.Endpoints[1].Share = .5, .5
	})
	p.until(60)
	p.wants("two", .5, .5)
	p.change(func(sp *state.ServicePort) { sp.Endpoints = all })
	p.until(61)
	p.wants("a third that is new", 1/2.1, 1/2.1, .1/2.1)
	p.wantsHeld("a third that is new", state.HoldSlowStart)
	p.until(110)
	p.wants("it is no more", 1/3., 1/3., 1/3.)
	p.change(func(sp *state.ServicePort) {
		sp.Endpoints = slices.Clone(all)
		for i := range sp.Endpoints {
			sp.Endpoints[i].Port = 81
		}
	})
	p.until(111)
	p.wants("all are new", 1/3., 1/3., 1/3.)
	p.wantsHeld("all are new")
}

func TestDrain(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 3), same(.1, 3))
	p.until(30)
	p.change(func(sp *state.ServicePort) { sp.Endpoints[1].Weight = new(0.0); sp.Endpoints[2].Weight = new(3.0) })
	p.until(31)
	p.wants("one is drained, another counts for three", .25, 0, .75)
	p.change(func(sp *state.ServicePort) { sp.Policy = state.PolicyEqual })
	p.until(120)
	p.wants("the policy equal knows only drained or not", .5, 0, .5)
}

// An endpoint that leaves gives what it had to the others in proportion, and the
// factors stay when it comes back.
func TestMembership(t *testing.T) {
	p := begin(t, weight.Default(), []float64{.0001, .005, .005}, same(.1, 3))
	p.until(120)
	p.wants("by latency", .5, .25, .25)
	all := p.st.ServicePorts[0].Endpoints
	p.change(func(sp *state.ServicePort) {
		sp.Endpoints = all[:2]
		sp.Endpoints[0].Share, sp.Endpoints[1].Share = .5, .5
	})
	p.until(121)
	p.wants("one left", 2/3., 1/3.)
	p.change(func(sp *state.ServicePort) { sp.Endpoints = all })
	p.until(200)
	p.wants("it is back", .5, .25, .25)
}

func TestStale(t *testing.T) {
	nan := math.NaN()
	p := begin(t, weight.Default(), []float64{.0001, .005, .005, .01}, same(.1, 4))
	p.until(120)
	p.latency[3], p.busy[3] = nan, nan
	p.until(240)
	p.wants("the farthest is not known: as the median", .4, .2, .2, .2)
	p.wantsHeld("the farthest is not known", state.HoldStale)
	p.latency[2], p.latency[1] = nan, nan
	p.until(420)
	p.wants("most are not known: nobody is judged", .25, .25, .25, .25)
	p.wantsHeld("most are not known", state.HoldPanic, state.HoldStale)
	p.latency[0], p.busy = nan, same(nan, 4)
	p.until(440)
	p.wants("nothing is known", .25, .25, .25, .25)
	p.wantsHeld("nothing is known", state.HoldStale)
}

// New measurements count only after some time.
func TestBlackout(t *testing.T) {
	p := begin(t, weight.Default(), same(math.NaN(), 2), same(.1, 2))
	p.until(100)
	p.latency = []float64{.0001, .1}
	p.until(109)
	p.wants("too new", .5, .5)
	p.wantsHeld("too new", state.HoldBlackout, state.HoldStale)
	p.until(240)
	p.wants("no more", .95, .05)
}

// Where there is no floor, a node may be so far that nothing is left of its share. It
// is no new node for it.
func TestNoFloor(t *testing.T) {
	c := weight.Default()
	c.Floor = 0
	p := begin(t, c, []float64{.001, .001, 1e300}, same(.1, 3))
	p.until(120)
	for p.at < 240 {
		p.until(p.at)
		p.wants("one is too far", .5, .5, 0)
	}
}

func TestHeldByStep(t *testing.T) {
	p := begin(t, weight.Default(), []float64{.0001, .04}, same(.1, 2))
	p.until(30)
	p.wantsHeld("on the way", state.HoldStep)
	f := p.last.ServicePorts[0].Factors[0]
	if !(f.Target > .89 && f.Share < f.Target && f.Share > .5) {
		t.Errorf("got %+v", f)
	}
	p.until(120)
	p.wantsHeld("there")
	p.latency[1] = .045
	p.until(150)
	p.wants("there", .8983, .1017)
	p.wantsHeld("a target that is too near", state.HoldHysteresis)
}

// A restart moves nothing, also while nothing is measured yet.
func TestRestart(t *testing.T) {
	p := begin(t, weight.Default(), []float64{.0001, .005, .005}, []float64{.9, .6, .6})
	p.until(300)
	left := sharesOf(p.last.ServicePorts[0])
	if moved(left, same(1/3., 3)) < .05 {
		t.Fatalf("got %v, which is no test", left)
	}
	for age, young := range map[int]bool{60: true, 601: false} {
		q := begin(t, weight.Default(), same(math.NaN(), 3), same(math.NaN(), 3))
		q.before, q.at = p.last, p.at+age
		q.until(p.at + age)
		want := left
		if !young {
			want = same(1/3., 3)
		}
		q.wants(fmt.Sprintf("%d s later", age), want...)
		q.until(q.at + 30)
		q.wants("half a minute without measurements", want...)
		if !young {
			continue
		}
		q.latency, q.busy = p.latency, p.busy
		end := q.at + 60
		for q.at < end {
			q.until(q.at)
			if d := moved(want, sharesOf(q.last.ServicePorts[0])); d > .06 {
				t.Fatalf("jumped by %v", d)
			}
		}
		if diff := cmp.Diff(*p.last.ServicePorts[0].Factors[0].Trim, *q.last.ServicePorts[0].Factors[0].Trim); diff != "" && *q.last.ServicePorts[0].Factors[0].Trim > *p.last.ServicePorts[0].Factors[0].Trim {
			t.Errorf("the trim was not taken over: %s", diff)
		}
	}
}

// Nothing that changed means the same pointers.
func TestPointers(t *testing.T) {
	p := begin(t, weight.Default(), []float64{.0001, .005}, same(.1, 2))
	skipped := &state.ServicePort{Namespace: "default", Name: "gone", Protocol: state.TCP, NodePort: 30001, Skipped: "no endpoints"}
	p.st.ServicePorts = append(p.st.ServicePorts, skipped)
	p.until(120)
	was := p.last
	for range 60 {
		p.latency[0] *= 1.0001
		p.until(p.at)
		if p.last.ServicePorts[0] != was.ServicePorts[0] || p.last.ServicePorts[1] != skipped {
			t.Fatalf("at %d: new pointers:\n%s", p.at, cmp.Diff(was.ServicePorts[0], p.last.ServicePorts[0],
				cmp.Comparer(func(a, b netip.Addr) bool { return a == b })))
		}
	}
}

func TestPolicies(t *testing.T) {
	latency, busy := []float64{.0001, .0015, .005}, []float64{.5, .9, .5}
	tests := map[state.Policy]func([]float64) bool{
		state.PolicyEqual:      func(s []float64) bool { return s[0] == s[1] && s[1] == s[2] },
		state.PolicyStatic:     func(s []float64) bool { return s[0] == s[1] && s[2] == .6 },
		state.PolicyLatency:    func(s []float64) bool { return s[0] > s[1] && s[1] < s[2] && s[1]*3 > s[2]*1.5 },
		state.PolicyCPU:        func(s []float64) bool { return s[0] > s[1]*2 && math.Abs(s[0]*3-s[2]) < 1e-6 },
		state.PolicyLatencyCPU: func(s []float64) bool { return s[0] > s[1]*2.5 && s[0]*3 > s[2]*1.8 },
		state.PolicyLocal:      func(s []float64) bool { return s[0] > .75 && s[1] < .05 && s[2] < .2 },
	}
	for policy, holds := range tests {
		t.Run(string(policy), func(t *testing.T) {
			p := begin(t, weight.Default(), latency, busy)
			p.change(func(sp *state.ServicePort) { sp.Policy = policy; sp.Endpoints[2].Weight = new(3.0) })
			if sp := p.until(400); !holds(sharesOf(sp)) || sp.Policy != policy {
				t.Errorf("got %v by policy %s", sharesOf(sp), sp.Policy)
			}
			for _, f := range p.last.ServicePorts[0].Factors {
				wantLatency := policy == state.PolicyLatency || policy == state.PolicyLatencyCPU || policy == state.PolicyLocal
				wantTrim := policy == state.PolicyCPU || policy == state.PolicyLatencyCPU || policy == state.PolicyLocal
				if (f.Latency != nil) != wantLatency || (f.Trim != nil) != wantTrim || f.Guard != nil {
					t.Errorf("factors %+v", f)
				}
			}
		})
	}
}

// The near node of policy local spills when it is hot.
func TestLocalSpills(t *testing.T) {
	c := weight.Default()
	c.Policy = state.PolicyLocal
	p := begin(t, c, []float64{.0001, .01, .01}, same(.3, 3))
	p.until(200)
	p.wants("near first", .9615, .0192, .0192)
	p.busy = []float64{1, .2, .2}
	p.until(500)
	spilled := sharesOf(p.last.ServicePorts[0])
	if spilled[0] > .5 {
		t.Errorf("hot for five minutes, it still has %v", spilled)
	}
	q := begin(t, c, []float64{.0001, .01, .01}, []float64{.75, .2, .2}) // a restart, when it is as busy as it may be
	q.before, q.at = p.last, p.at
	q.until(q.at + 60)
	q.wants("a minute after a restart", spilled...)
	p.busy = same(.3, 3)
	p.until(1500)
	if s := sharesOf(p.last.ServicePorts[0]); s[0] < .8 {
		t.Errorf("cool for long, it has %v", s)
	}
}

// Both families of an endpoint have the same factors, each with the sum 1.
func TestDualStack(t *testing.T) {
	p := begin(t, weight.Default(), []float64{.0001, .005}, same(.1, 2))
	p.st.Addresses = append(p.st.Addresses, netip.MustParseAddr("fd00::1"))
	p.change(func(sp *state.ServicePort) {
		for i := range 2 {
			e := sp.Endpoints[i]
			e.Address = netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)}).Next()
			sp.Endpoints = append(sp.Endpoints, e)
		}
	})
	p.until(120)
	s := sharesOf(p.last.ServicePorts[0])
	for i, want := range []float64{2 / 3., 1 / 3., 2 / 3., 1 / 3.} {
		if math.Abs(s[i]-want) > .01 {
			t.Errorf("got %v", s)
		}
	}
}

// Two endpoints on the first node, one on each of the others, whose cores are 8, 4
// and not known.
func TestBaseWeights(t *testing.T) {
	tests := []struct {
		name   string
		base   weight.Base
		nodes  map[string]float64
		weight float64 // of the endpoint on the second node
		policy state.Policy
		want   []float64
	}{
		{"each endpoint", weight.BaseEndpoint, nil, 1, "", same(1/4., 4)},
		{"each node", weight.BaseNode, nil, 1, "", []float64{1 / 6., 1 / 6., 1 / 3., 1 / 3.}},
		{"each core, of the third node as many as the median", weight.BaseCores, nil, 1, "", []float64{4 / 18., 4 / 18., 4 / 18., 6 / 18.}},
		{"weights of nodes", weight.BaseEndpoint, map[string]float64{"n0": 2, "n9": 7}, 1, "", []float64{2 / 6., 2 / 6., 1 / 6., 1 / 6.}},
		{"weights multiply", weight.BaseEndpoint, map[string]float64{"n1": 2}, 3, "", []float64{1 / 9., 1 / 9., 6 / 9., 1 / 9.}},
		{"a node that is drained", weight.BaseCores, map[string]float64{"n0": 0}, 1, "", []float64{0, 0, 4 / 10., 6 / 10.}},
		{"the policy equal knows only drained or not", weight.BaseCores, map[string]float64{"n0": 0, "n1": 5}, 3, state.PolicyEqual, []float64{0, 0, 1 / 2., 1 / 2.}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := weight.Default()
			c.Base, c.NodeWeights = tt.base, tt.nodes
			p := begin(t, c, same(.001, 3), same(.1, 3))
			p.st.Nodes[0].Cores, p.st.Nodes[1].Cores = 8, 4
			p.change(func(sp *state.ServicePort) {
				second := sp.Endpoints[0]
				second.Port++
				sp.Endpoints = slices.Insert(sp.Endpoints, 1, second)
				sp.Endpoints[2].Weight, sp.Policy = &tt.weight, tt.policy
				for i := range sp.Endpoints {
					sp.Endpoints[i].Share = 1 / 4.
				}
			})
			p.until(60)
			p.wants("at first", tt.want...)
			if f := p.last.ServicePorts[0].Factors[0]; tt.want[0] > 0 && math.Abs(*f.Base-2*tt.want[0]) > 1e-3 || tt.want[0] == 0 && f.Base != nil {
				t.Errorf("the factors are %+v", f)
			}
			q := begin(t, c, same(math.NaN(), 3), same(math.NaN(), 3)) // a restart, when agents have told nothing yet
			q.st.ServicePorts, q.before, q.at = p.st.ServicePorts, p.last, p.at
			q.until(q.at + 30)
			q.wants("after a restart", tt.want...)
		})
	}
}
