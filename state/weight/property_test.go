package weight_test

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weft/state"
	"weft/state/weight"
)

// scene is a cluster that a property test runs an engine in.
type scene struct {
	t      *rapid.T
	engine *weight.Engine
	config weight.Config
	now    time.Time
	last   *state.State
}

func newScene(t *rapid.T, c weight.Config) *scene {
	return &scene{t: t, engine: weight.New(c, "me"), config: c, now: noon}
}

// step goes a while on, and checks what must hold after every step.
func (s *scene) step(st *state.State, conns *weight.Connections, d time.Duration) *state.ServicePort {
	s.t.Helper()
	s.now = s.now.Add(d)
	got, wait := s.engine.Step(s.now, weight.Inputs{State: st, Connections: conns})
	if err := state.Validate(got); err != nil {
		s.t.Fatal(err)
	}
	if wait < 0 || wait > 20*time.Second {
		s.t.Fatalf("comes again in %v", wait)
	}
	s.last = got
	return got.ServicePorts[0]
}

// run goes on for some seconds with fresh measurements every five.
func (s *scene) run(st *state.State, latency, busy []float64, seconds int) *state.ServicePort {
	for range seconds / 5 {
		measure(st, latency, busy, s.now.Add(5*time.Second))
		s.step(st, nil, 5*time.Second)
	}
	return s.last.ServicePorts[0]
}

func drawConfig(t *rapid.T) weight.Config {
	c := weight.Default()
	c.Policy = rapid.SampledFrom(state.Policies()).Draw(t, "policy")
	c.Floor = rapid.SampledFrom([]float64{0, 0.1, 0.5, 1}).Draw(t, "floor")
	c.Ceiling = rapid.SampledFrom([]float64{1, 1.5, 3, 1e6}).Draw(t, "ceiling")
	c.Hysteresis = rapid.SampledFrom([]float64{0, 0.02, 0.2}).Draw(t, "hysteresis")
	c.StepLimit = rapid.SampledFrom([]float64{0.01, 0.1, 1}).Draw(t, "step limit")
	return c
}

// drawNumber is any number, or none.
func drawNumber(t *rapid.T, what string) float64 {
	return rapid.OneOf(
		rapid.Float64Range(0, 1.1),
		rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, -1, 5e-324, 1e300, 0.95, 1}),
		rapid.Float64(),
	).Draw(t, what)
}

func drawNumbers(t *rapid.T, n int, what string) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = drawNumber(t, what)
	}
	return v
}

func drawWeights(t *rapid.T, st *state.State) {
	p := st.ServicePorts[0]
	for i := range p.Endpoints {
		if rapid.Bool().Draw(t, "weighted") {
			p.Endpoints[i].Weight = new(rapid.OneOf(rapid.Float64Range(0, 10), rapid.SampledFrom([]float64{0, 1e300, 5e-324, 1})).Draw(t, "weight"))
		}
	}
	if !slices.ContainsFunc(p.Endpoints, func(e state.Endpoint) bool { return e.Weight == nil || *e.Weight > 0 }) {
		p.Endpoints[0].Weight = nil
	}
}

// Whatever is measured, shares are shares.
func TestAnyInputs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		c.Base = rapid.SampledFrom(weight.Bases()).Draw(t, "base")
		n := rapid.IntRange(1, 5).Draw(t, "nodes")
		st := cluster(make([]float64, n), nil)
		c.NodeWeights = map[string]float64{"n0": drawNumber(t, "weight of a node")}
		s := newScene(t, c)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "members") == 0 {
				p := *st.ServicePorts[0]
				p.Endpoints = slices.Clone(cluster(make([]float64, n), nil).ServicePorts[0].Endpoints[:rapid.IntRange(1, n).Draw(t, "endpoints")])
				for i := range p.Endpoints {
					p.Endpoints[i].Share = 1 / float64(len(p.Endpoints))
					if rapid.IntRange(0, 4).Draw(t, "no node") == 0 {
						p.Endpoints[i].Node = ""
					}
				}
				st.ServicePorts[0] = &p
				drawWeights(t, st)
			}
			measure(st, drawNumbers(t, n, "latency"), drawNumbers(t, n, "busy"), s.now.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "age"))*time.Second))
			for i := range st.Nodes {
				st.Nodes[i].Unreachable = time.Time{}
				st.Nodes[i].Cores = rapid.IntRange(0, 1<<20).Draw(t, "cores")
				if rapid.IntRange(0, 3).Draw(t, "unreachable") == 0 {
					st.Nodes[i].Unreachable = s.now
				}
			}
			s.step(st, drawConnections(t, st, s.now), time.Duration(rapid.IntRange(-5, 60).Draw(t, "seconds"))*time.Second)
		}
	})
}

func drawConnections(t *rapid.T, st *state.State, at time.Time) *weight.Connections {
	if rapid.Bool().Draw(t, "no connections") {
		return nil
	}
	counts := map[netip.AddrPort]weight.Count{}
	for _, e := range st.ServicePorts[0].Endpoints {
		counts[e.AddrPort()] = weight.Count{
			Young: rapid.IntRange(-1, 100).Draw(t, "young"), Opened: rapid.Uint64Range(0, 1000).Draw(t, "opened"),
			Failed: rapid.Uint64Range(0, 100).Draw(t, "failed"), Seconds: drawNumber(t, "connection-seconds"),
		}
	}
	return &weight.Connections{
		At: at, Exact: rapid.Bool().Draw(t, "exact"),
		Counts: map[weight.NodePort]map[netip.AddrPort]weight.Count{{Protocol: state.TCP, Port: 30000}: counts},
	}
}

// bases are the shares that the weights alone give.
func bases(p *state.ServicePort, equal bool) []float64 {
	b := make([]float64, len(p.Endpoints))
	most, sum := 0.0, 0.0
	for i, e := range p.Endpoints {
		if b[i] = 1; e.Weight != nil && (!equal || *e.Weight == 0) {
			b[i] = *e.Weight
		}
		most = max(most, b[i])
	}
	for i := range b {
		b[i] /= most
		sum += b[i]
	}
	for i := range b {
		b[i] /= sum
	}
	return b
}

func sharesOf(p *state.ServicePort) []float64 {
	shares := make([]float64, len(p.Endpoints))
	for i, e := range p.Endpoints {
		shares[i] = e.Share
	}
	return shares
}

func moved(p, q []float64) float64 {
	d := 0.0
	for i := range p {
		d += math.Abs(p[i]-q[i]) / 2
	}
	return d
}

// One step moves no more than the limit, and floor and ceiling hold after each.
func TestLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		s := newScene(t, c)
		n := rapid.IntRange(1, 6).Draw(t, "nodes")
		st := cluster(make([]float64, n), nil)
		drawWeights(t, st)
		base := bases(st.ServicePorts[0], c.Policy == state.PolicyEqual)
		floor := c.Floor
		if c.Policy == state.PolicyLocal {
			floor = min(floor, 0.02)
		}
		before := base
		for range 20 {
			measure(st, drawNumbers(t, n, "latency"), drawNumbers(t, n, "busy"), s.now.Add(5*time.Second))
			got := sharesOf(s.step(st, nil, 5*time.Second))
			// A slow step comes at the first call after its tick: at most after 15 s.
			if d := moved(before, got); d > 1.5*c.StepLimit+1e-6 {
				t.Fatalf("moved %v, the limit is %v", d, c.StepLimit)
			}
			for i := range got {
				if got[i] < floor*base[i]-1e-6 || got[i] > c.Ceiling*base[i]+1e-6 {
					t.Fatalf("endpoint %d has %v, its base share is %v", i, got[i], base[i])
				}
			}
			before = got
		}
	})
}

func drawMeasures(t *rapid.T, n int) (latency, busy []float64) {
	for range n {
		latency = append(latency, rapid.Float64Range(1e-5, 0.2).Draw(t, "latency"))
		busy = append(busy, rapid.Float64Range(0, 1).Draw(t, "busy"))
	}
	return latency, busy
}

// A node that is slower or busier than it is never has more for it.
func TestWorseNeverGetsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := weight.Default()
		c.Policy = rapid.SampledFrom(state.Policies()).Draw(t, "policy")
		c.Hysteresis, c.StepLimit = 0, 1
		n := rapid.IntRange(1, 6).Draw(t, "nodes")
		latency, busy := drawMeasures(t, n)
		seconds := rapid.SampledFrom([]int{20, 60, 600}).Draw(t, "seconds")
		as := sharesOf(newScene(t, c).run(cluster(latency, nil), latency, busy, seconds))
		i := rapid.IntRange(0, n-1).Draw(t, "worse")
		latency[i] += rapid.SampledFrom([]float64{0, 1e-4, 0.01, 1}).Draw(t, "slower")
		busy[i] = min(1, busy[i]+rapid.SampledFrom([]float64{0, 0.01, 0.1, 1}).Draw(t, "busier"))
		worse := sharesOf(newScene(t, c).run(cluster(latency, nil), latency, busy, seconds))
		if worse[i] > as[i]+1e-6 {
			t.Fatalf("the share of node %d goes from %v to %v", i, as[i], worse[i])
		}
	})
}

// Neither the order of nodes and endpoints nor the size of all weights matters.
func TestScaleAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		n := rapid.IntRange(1, 6).Draw(t, "nodes")
		latency, busy := drawMeasures(t, n)
		st := cluster(latency, nil)
		for i := range n {
			st.ServicePorts[0].Endpoints[i].Weight = new(rapid.Float64Range(0.1, 10).Draw(t, "weight"))
		}
		scaled := rapid.SampledFrom([]float64{1e-3, 1, 7, 1e6}).Draw(t, "scale")
		other := cluster(latency, nil)
		for i, e := range st.ServicePorts[0].Endpoints {
			other.ServicePorts[0].Endpoints[i].Weight = new(*e.Weight * scaled)
		}
		want := newScene(t, c).run(st, latency, busy, 120)
		order := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Perm(n)
		permute(order, other.Nodes, other.ServicePorts[0].Endpoints)
		got := newScene(t, c).run(other, permuted(order, latency), permuted(order, busy), 120)
		ends := slices.SortedFunc(slices.Values(got.Endpoints), func(a, b state.Endpoint) int { return a.Address.Compare(b.Address) })
		for i, e := range ends {
			if math.Abs(e.Share-want.Endpoints[i].Share) > 1e-6 {
				t.Fatalf("got %v, want %v", ends, want.Endpoints)
			}
		}
	})
}

func permute(order []int, nodes []state.Node, ends []state.Endpoint) {
	copy(nodes, permuted(order, nodes))
	copy(ends, permuted(order, ends))
}

func permuted[T any](order []int, v []T) []T {
	p := make([]T, len(v))
	for i, j := range order {
		p[i] = v[j]
	}
	return p
}

// Nodes that are alike get the same, whatever they are like.
func TestEqualInputs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		n := rapid.IntRange(1, 8).Draw(t, "nodes")
		latency, busy := slices.Repeat([]float64{drawNumber(t, "latency")}, n), slices.Repeat([]float64{drawNumber(t, "busy")}, n)
		p := newScene(t, c).run(cluster(latency, nil), latency, busy, 120)
		for _, e := range p.Endpoints {
			if math.Abs(e.Share-1/float64(n)) > 1e-6 {
				t.Fatalf("got %v", sharesOf(p))
			}
		}
	})
}

// CPU use below the knee moves nothing.
func TestBelowTheKnee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScene(t, weight.Default())
		n := rapid.IntRange(1, 8).Draw(t, "nodes")
		latency := slices.Repeat([]float64{0.001}, n)
		st := cluster(latency, nil)
		first := s.run(st, latency, make([]float64, n), 30)
		for range 10 {
			busy := make([]float64, n)
			for i := range busy {
				busy[i] = rapid.Float64Range(0, 0.5).Draw(t, "busy")
			}
			if p := s.run(st, latency, busy, 10); p != first {
				t.Fatalf("a new pointer: shares %v, before %v", sharesOf(p), sharesOf(first))
			}
		}
	})
}

// Trims learn on: a node that stays busier loses more, up to its limit.
func TestTrimGrows(t *testing.T) {
	latency, busy := []float64{.001, .001, .001}, []float64{.9, .6, .6}
	rapid.Check(t, func(t *rapid.T) {
		s := newScene(t, weight.Default())
		st := cluster(latency, nil)
		last := 1.0
		for range 10 {
			p := s.run(st, latency, busy, 30)
			if trim := *p.Factors[0].Trim; trim > last {
				t.Fatalf("the trim grew from %v to %v", last, trim)
			} else {
				last = trim
			}
		}
		if last > 0.6 {
			t.Fatalf("the trim is %v", last)
		}
	})
}

// However long connections last, the guard leaves every node its floor, as long as
// they do not fail.
func TestGuardKeepsTheFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := weight.Default()
		c.Floor = rapid.SampledFrom([]float64{0.05, 0.1, 0.5}).Draw(t, "floor")
		s := newScene(t, c)
		n := rapid.IntRange(2, 6).Draw(t, "nodes")
		latency, busy := drawMeasures(t, n)
		st := cluster(latency, nil)
		counts := make([]weight.Count, n)
		for i := range 40 {
			if i%5 == 0 {
				measure(st, latency, busy, s.now.Add(time.Second))
			}
			by := map[netip.AddrPort]weight.Count{}
			for j, e := range st.ServicePorts[0].Endpoints {
				lasts := rapid.SampledFrom([]float64{0.01, 0.1, 5, 60}).Draw(t, "lasts")
				counts[j].Opened += 20
				counts[j].Seconds += 20 * min(lasts, 10)
				counts[j].Young, counts[j].Open = int(20*min(lasts, 10)), int(20*lasts)
				by[e.AddrPort()] = counts[j]
			}
			conns := &weight.Connections{At: s.now.Add(time.Second), Exact: true, Counts: map[weight.NodePort]map[netip.AddrPort]weight.Count{
				{Protocol: state.TCP, Port: 30000}: by,
			}}
			for j, share := range sharesOf(s.step(st, conns, time.Second)) {
				if share < c.Floor/float64(n)-1e-6 {
					t.Fatalf("node %d has %v", j, share)
				}
			}
		}
	})
}
