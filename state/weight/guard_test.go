package weight_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"weft/state"
	"weft/state/weight"
)

// flow are connections at a steady rate through a NodePort, a second at a time.
type flow struct {
	play    *play
	rate    float64   // a second for each endpoint
	lasts   []float64 // seconds
	refused []bool
	exact   bool
	counts  []weight.Count
}

func newFlow(p *play, rate, lasts float64, exact bool) *flow {
	n := len(p.st.Nodes)
	return &flow{play: p, rate: rate, lasts: same(lasts, n), refused: make([]bool, n), exact: exact, counts: make([]weight.Count, n)}
}

// until goes on second by second.
func (f *flow) until(at int) {
	f.play.t.Helper()
	for f.play.at <= at {
		counts := map[netip.AddrPort]weight.Count{}
		for i, e := range f.play.st.ServicePorts[0].Endpoints {
			c := &f.counts[i]
			c.Opened += uint64(f.rate)
			c.Young, c.Open = int(f.rate*min(f.lasts[i], 10)), int(f.rate*f.lasts[i])
			c.Seconds += f.rate * min(f.lasts[i], 10)
			if f.refused[i] {
				c.Failed += uint64(f.rate)
			}
			counts[e.AddrPort()] = *c
		}
		f.play.conns = &weight.Connections{Exact: f.exact, Counts: map[weight.NodePort]map[netip.AddrPort]weight.Count{
			{Protocol: f.play.st.ServicePorts[0].Protocol, Port: 30000}: counts,
		}}
		f.play.until(f.play.at)
	}
}

func (f *flow) share(i int) float64 { return f.play.last.ServicePorts[0].Endpoints[i].Share }

func TestGuard(t *testing.T) {
	for name, exact := range map[string]bool{"exact": true, "polled": false} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, weight.Default(), same(.001, 4), same(.3, 4))
			f := newFlow(p, 50, .05, exact)
			f.until(60)
			p.wants("all are alike", .25, .25, .25, .25)
			f.lasts[2] = 1
			f.until(63)
			if f.share(2) > .15 {
				t.Errorf("after three seconds of connections that last twenty times as long, the share is %v", f.share(2))
			}
			if g := p.last.ServicePorts[0].Factors[2].Guard; g == nil || *g > .6 {
				t.Errorf("got the factor %v", g)
			}
			f.lasts[2] = .05
			f.until(130)
			p.wants("back", .25, .25, .25, .25)
			f.lasts = same(1, 4)
			f.until(140)
			p.wants("all are slow", .25, .25, .25, .25)
			f.refused[0] = true
			f.lasts = []float64{.001, .05, .05, .05}
			f.until(150)
			if f.share(0) > .1 {
				t.Errorf("one refuses connections, its share is %v", f.share(0))
			}
			p.conns = nil
			p.until(300)
			p.wants("connections cannot be seen any more", .25, .25, .25, .25)
		})
	}
}

// Where connections say nothing, nobody is cut.
func TestGuardStandsBack(t *testing.T) {
	tests := map[string]func(*play, *flow){
		"few connections": func(_ *play, f *flow) { f.rate = 0 },
		"policy latency":  func(p *play, _ *flow) { p.change(func(sp *state.ServicePort) { sp.Policy = state.PolicyLatency }) },
		"udp":             func(p *play, _ *flow) { p.change(func(sp *state.ServicePort) { sp.Protocol = state.UDP }) },
		"switched off": func(p *play, _ *flow) {
			c := weight.Default()
			c.Guard = false
			p.engine.SetConfig(c)
		},
		"most nodes are slow": func(_ *play, f *flow) { f.lasts[1] = 1 },
		"a little slower":     func(_ *play, f *flow) { f.lasts[0] = .1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			p := begin(t, weight.Default(), same(.001, 3), same(.3, 3))
			f := newFlow(p, 50, .05, true)
			f.lasts[0] = 1
			change(p, f)
			f.until(60)
			p.wants("not cut", same(1/3., 3)...)
		})
	}
}

// A cut is learnt where no CPU use is known, and stays for a while after it.
func TestGuardAlone(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 3), nil)
	f := newFlow(p, 50, .05, true)
	f.lasts[0] = .5
	f.until(120)
	cut := f.share(0)
	f.lasts[0] = .06
	f.until(130)
	if cut > .2 || f.share(0) > .3 || f.share(0) < cut {
		t.Errorf("the share is %v, and ten seconds after %v", cut, f.share(0))
	}
	f.lasts[0] = .04
	f.until(400)
	p.wants("faster than the others for long", 1/3., 1/3., 1/3.)
}

// New connections go past a node that has too many kept ones, until the stock is
// what the shares want.
func TestKeptConnections(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 3), same(.3, 3))
	f := newFlow(p, 10, 30, true)
	f.until(60)
	p.wants("the stock is right", 1/3., 1/3., 1/3.)
	f.lasts[0] = 90
	f.until(90)
	if s := f.share(0); s > .05 {
		t.Errorf("three fifths of the connections are on the first node, its share of new ones is %v", s)
	}
	f.lasts[0] = 30
	f.until(180)
	p.wants("the stock is right again", 1/3., 1/3., 1/3.)
}

// What chance makes of the stock is evened out where a node is busy, and left alone
// where none is: there it is worth no rule.
func TestStockOfChance(t *testing.T) {
	for _, tt := range []struct {
		name   string
		busy   float64
		evened bool
	}{{"idle", .3, false}, {"busy", .9, true}} {
		t.Run(tt.name, func(t *testing.T) {
			p := begin(t, weight.Default(), same(.001, 3), same(tt.busy, 3))
			f := newFlow(p, 3, 20, true)
			f.until(60)
			f.lasts[0] = 24 // a standard deviation more connections than the others
			f.until(75)
			if s := f.share(0); (s < .3) != tt.evened {
				t.Errorf("the node with more connections has the share %v of new ones", s)
			}
		})
	}
}

// A node that serves nobody falls below the floor, whether CPU use is known or not,
// and comes back when it serves.
func TestGuardFails(t *testing.T) {
	for name, busy := range map[string][]float64{"with CPU use": same(.3, 4), "without": nil} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, weight.Default(), same(.001, 4), busy)
			f := newFlow(p, 50, .05, true)
			f.until(60)
			f.refused[1], f.lasts[1] = true, .001
			f.until(66)
			if s := f.share(1); s > .01 {
				t.Errorf("it refuses all connections, and its share is %v", s)
			}
			f.refused[1], f.lasts[1] = false, .05
			f.until(120)
			if s := f.share(1); s < .15 {
				t.Errorf("it has served for a minute, and its share is %v", s)
			}
			f.until(1200)
			if s := f.share(1); s < .22 {
				t.Errorf("it has served for 20 minutes, and its share is %v", s)
			}
		})
	}
}

// What a node can take is not learnt from the time in which it died: back, it has its
// share as soon as a new one would.
func TestGuardForgets(t *testing.T) {
	for name, out := range map[string]bool{"seen by probes": true, "too short for probes": false} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, weight.Default(), same(.001, 4), same(.7, 4))
			f := newFlow(p, 50, .05, true)
			f.until(60)
			f.refused[1], f.lasts[1] = true, .001
			p.busy = []float64{.9, .05, .9, .9}
			f.until(72)
			if out {
				p.st.Nodes[1].Unreachable = p.now()
				f.until(85)
				p.st.Nodes[1].Unreachable = time.Time{}
			}
			f.refused[1], f.lasts[1] = false, .05
			f.until(90)
			p.busy = same(.7, 4)
			f.until(125)
			if s := f.share(1); s < .22 || s > .3 {
				t.Errorf("its share is %v\n%s", s, explained(p))
			}
		})
	}
}

// A restart in the midst of a cut keeps it, and lets it go as the agent before would
// have: soon where CPU use is known, and late where the cut was all that was learned.
func TestGuardRestart(t *testing.T) {
	for name, tt := range map[string]struct {
		busy []float64
		soon bool
	}{"with CPU use": {same(.3, 3), true}, "without": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, weight.Default(), same(.001, 3), tt.busy)
			f := newFlow(p, 50, .05, true)
			f.until(60)
			f.lasts[0] = 1
			f.until(80)
			left := sharesOf(p.last.ServicePorts[0])
			if left[0] > .15 {
				t.Fatalf("got %v, which is no test", left)
			}
			q := begin(t, weight.Default(), same(.001, 3), tt.busy)
			q.before, q.at = p.last, p.at
			q.until(q.at)
			q.wants("just after", left...)
			g := newFlow(q, 50, .05, true)
			g.until(q.at + 60)
			if s := g.share(0); (s > .3) != tt.soon {
				t.Errorf("a minute later, when nothing is slow any more, the share is %v: %s", s, explained(q))
			}
		})
	}
}

// explained are the factors of the first node.
func explained(p *play) string {
	f := p.last.ServicePorts[0].Factors[0]
	return fmt.Sprintf("trim %v, guard %v, target %v, held by %v", *f.Trim, *f.Guard, f.Target, p.last.ServicePorts[0].Held)
}
