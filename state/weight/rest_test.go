package weight_test

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/state"
	"weft/state/weight"
)

// told are connections of which changes are told.
func told(change uint64, at time.Time, counts ...weight.Count) *weight.Connections {
	c := &weight.Connections{At: at, Exact: true, Change: change, Counts: map[weight.NodePort]map[netip.AddrPort]weight.Count{}}
	if len(counts) > 0 {
		by := map[netip.AddrPort]weight.Count{}
		for i, e := range cluster(same(.001, len(counts)), nil).ServicePorts[0].Endpoints {
			by[e.AddrPort()] = counts[i]
		}
		c.Counts[weight.NodePort{Protocol: state.TCP, Port: 30000}] = by
	}
	return c
}

// lead goes on by the waits that the engine asks for, and returns the longest, and how many
// there were.
func (p *play) lead(until int, change uint64, counts ...weight.Count) (longest time.Duration, n int) {
	p.t.Helper()
	for ; p.at <= until; n++ {
		measure(p.st, p.latency, p.busy, p.now())
		var wait time.Duration
		p.last, wait = p.engine.Step(p.now(), weight.Inputs{State: p.st, Connections: told(change, p.now(), counts...)})
		p.at += max(1, int(math.Ceil(wait.Seconds())))
		longest = max(longest, wait)
	}
	return longest, n
}

// TestQuiet checks that the guard is not asked for while there is nothing to see, and is
// every second while there is: also behind connections that came once.
func TestQuiet(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 4), same(.1, 4))
	if wait, _ := p.lead(9, 1); wait > time.Second {
		t.Errorf("at the start it comes again in %v, want a second", wait)
	}
	p.lead(20, 1)
	if wait, n := p.lead(620, 1); wait < 4*time.Second || wait > 6*time.Second || n > 600/5+5 {
		t.Errorf("without connections it comes again in %v, %d times in ten minutes, want about every five seconds", wait, n)
	}
	some := []weight.Count{{Opened: 9, Open: 3, Young: 3, Seconds: 1}, {Opened: 9}, {Opened: 9}, {Opened: 9}}
	if wait, _ := p.lead(630, 2, some...); wait > time.Second {
		t.Errorf("while connections are open it comes again in %v, want a second", wait)
	}
	some[0] = weight.Count{Opened: 9, Seconds: 3}
	p.lead(1000, 3, some...)
	if wait, _ := p.lead(1020, 3, some...); wait < 4*time.Second {
		t.Errorf("long behind the last it comes again in %v, want about five seconds", wait)
	}
	p.busy = nil
	p.lead(1200, 3, some...)
	if wait, n := p.lead(1800, 3, some...); wait < 9*time.Second || wait > 11*time.Second || n > 600/9+1 {
		t.Errorf("without CPU use it comes again in %v, %d times in ten minutes, want about every ten seconds", wait, n)
	}
}

// TestRestsAlike has two engines see the same, one of which steps through all since it
// is not told what is new. Both must make the same shares, whatever happens to nodes and
// connections after long rests.
func TestRestsAlike(t *testing.T) {
	rested, busy := begin(t, weight.Default(), same(.001, 4), same(.1, 4)), begin(t, weight.Default(), same(.001, 4), same(.1, 4))
	change, counts := uint64(1), make([]weight.Count, 4)
	for second := range 1200 {
		for _, p := range []*play{rested, busy} {
			switch second {
			case 200:
				p.latency[2] = 0.02
			case 400:
				p.busy[1] = 0.95
			case 500:
				p.busy[1] = 0.1
			case 1100:
				p.st.Nodes[3].Unreachable = noon.Add(1100 * time.Second)
			}
		}
		if second >= 800 && second < 830 { // the first node's connections stay open
			change++
			for i := range counts {
				counts[i].Opened += 20
				counts[i].Seconds += 0.2
			}
			counts[0].Seconds += 20
		}
		for _, p := range []*play{rested, busy} {
			p.conns = told(0, p.now(), counts...)
			if p == rested {
				p.conns.Change = change
			}
			p.until(second)
		}
		if d := moved(sharesOf(rested.last.ServicePorts[0]), sharesOf(busy.last.ServicePorts[0])); d > 0.002 {
			t.Fatalf("after %d s: %.4f at rest, %.4f without", second, sharesOf(rested.last.ServicePorts[0]), sharesOf(busy.last.ServicePorts[0]))
		}
	}
}

// TestRestKeepsPointers checks that a ServicePort at rest is the one of the step before,
// and that what makes it move ends that.
func TestRestKeepsPointers(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 4), same(.1, 4))
	p.lead(100, 1)
	before := p.last.ServicePorts[0]
	p.latency = same(.00102, 4)
	p.lead(130, 1)
	if p.last.ServicePorts[0] != before {
		t.Errorf("noise made it another: %s", cmp.Diff(before, p.last.ServicePorts[0], cmp.Comparer(func(a, b netip.Addr) bool { return a == b })))
	}
	p.latency[3] = .03
	p.lead(140, 1)
	if p.last.ServicePorts[0] == before {
		t.Error("a node that is far now moved nothing")
	}
}

// TestLull checks that no ServicePort is looked at while all rest, that none is forgotten
// for that, and that all are looked at when something is new.
func TestLull(t *testing.T) {
	p := begin(t, weight.Default(), []float64{.001, .001, .001, .02}, same(.1, 4))
	p.lead(200, 1)
	before, shares := &p.last.ServicePorts[0], sharesOf(p.last.ServicePorts[0])
	p.lead(200+2*3600, 1)
	if &p.last.ServicePorts[0] != before {
		t.Error("ServicePorts were looked at")
	}
	p.latency[0] = .0011
	p.lead(p.at+30, 1)
	if d := moved(shares, sharesOf(p.last.ServicePorts[0])); d > .001 {
		t.Errorf("shares moved by %.3f: they were forgotten", d)
	}
	p.latency[2] = .02
	p.lead(p.at+60, 1)
	if d := moved(shares, sharesOf(p.last.ServicePorts[0])); d < .05 {
		t.Errorf("a node that is far now moved %.3f", d)
	}
}

// noise moves a latency up and down by six percent of the factor, and returns how many
// times the ServicePort was another.
func (p *play) noise(from, until int) int {
	told := map[*state.ServicePort]bool{}
	for at := from; at < until; at += 10 {
		p.latency[0] = .001 + .0002*float64(at/10%3)
		p.lead(at, 1)
		told[p.last.ServicePorts[0]] = true
	}
	return len(told)
}

// TestFiguresTime: each ServicePort makes figures a little rarer.
func TestFiguresTime(t *testing.T) {
	times := [2]int{}
	for i, n := range []int{1, 2768} {
		p := begin(t, weight.Default(), same(.001, 4), same(.1, 4))
		for port := 1; port < n; port++ {
			other := *p.st.ServicePorts[0]
			other.Name, other.NodePort = fmt.Sprint("other-", port), other.NodePort+uint16(port)
			p.st.ServicePorts = append(p.st.ServicePorts, &other)
		}
		p.lead(100, 1)
		times[i] = p.noise(100, 700)
	}
	if times[1] > 5 || times[1] >= times[0] {
		t.Errorf("told %d times in ten minutes of noise alone, and %d times in a large cluster", times[0], times[1])
	}
}

// TestFiguresLag checks that noise of the figures makes a ServicePort another once a
// minute at most, and that they are right in the end.
func TestFiguresLag(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 4), same(.1, 4))
	p.lead(100, 1)
	if n := p.noise(100, 400); n > 6 {
		t.Errorf("another one %d times in five minutes of noise", n)
	}
	p.latency[0] = .0014
	p.lead(500, 1)
	factors := p.last.ServicePorts[0].Factors
	if got, want := *factors[0].Latency / *factors[1].Latency, .006/.0064; got < want*.975 || got > want*1.025 {
		t.Errorf("factors %.4f apart in the end, want %.4f", got, want)
	}
	p.latency[0] = .004
	p.lead(520, 1)
	if p.last.ServicePorts[0].Factors[0].Latency == factors[0].Latency {
		t.Error("what looks very different waits")
	}
}
