package weight_test

import (
	"math"
	"testing"

	"weft/state"
	"weft/state/weight"
)

// What bases are made of is looked at when it changes, and then all of it.

func TestWeightsOfNodesChange(t *testing.T) {
	c := weight.Default()
	p := begin(t, c, same(.001, 3), same(.1, 3))
	p.until(60)
	c.NodeWeights = map[string]float64{"n0": 2}
	p.engine.SetConfig(c)
	p.until(61)
	p.wants("at once", .5, .25, .25)
}

func TestCoresBecomeKnown(t *testing.T) {
	c := weight.Default()
	c.Base = weight.BaseCores
	p := begin(t, c, same(.001, 3), same(.1, 3))
	p.until(60)
	p.wants("no cores are known", 1/3., 1/3., 1/3.)
	p.st.Nodes[0].Cores, p.st.Nodes[1].Cores, p.st.Nodes[2].Cores = 4, 2, 2
	p.until(61)
	p.wants("they are", .5, .25, .25)
}

// A node that is measured only later counts from then on, one that was gone for so
// long that it was forgotten does not count any more, and counts again when it is back.
func TestNodesComeAndGo(t *testing.T) {
	p := begin(t, weight.Default(), same(.001, 3), same(.1, 3))
	nodes := p.st.Nodes
	p.latency[2] = .02
	without := func() { p.st.Nodes, p.latency, p.busy = nodes[:2], p.latency[:2], p.busy[:2] }
	with := func() { p.st.Nodes, p.latency, p.busy = nodes, p.latency[:3], p.busy[:3] }
	far := (6. / 25) / (2 + 6./25) // (s0+least)/(s0+latency), with s0 of 5 ms
	without()
	p.until(60)
	p.wants("one is not known", 1/3., 1/3., 1/3.)
	with()
	p.until(120)
	p.wants("it is", (1-far)/2, (1-far)/2, far)
	without()
	p.until(900)
	p.wants("it is forgotten", 1/3., 1/3., 1/3.)
	with()
	p.until(960)
	p.wants("it is back", (1-far)/2, (1-far)/2, far)
}

// A cut that is let go ends in shares that are no more than a rest off, without a rule
// for each bit of the way.
func TestRestIsWorthNoRule(t *testing.T) {
	p := begin(t, weight.Default(), []float64{.001, .0015, .001}, same(.1, 3))
	p.until(60)
	// So far that it takes steps, of which the last one is small.
	p.latency[0] = .0213
	var last *state.ServicePort
	rules, before := 0, p.last.ServicePorts[0]
	for p.at < 300 {
		last = p.until(p.at)
		if d := moved(sharesOf(before), sharesOf(last)); d > 0 {
			if rules++; d < 0.005 {
				t.Errorf("at %d a rule moves %.4f", p.at, d)
			}
			before = last
		}
	}
	if rules < 2 {
		t.Errorf("%d rules: the way has no steps", rules)
	}
	for _, f := range last.Factors {
		if math.Abs(f.Share-f.Target) > 0.02 {
			t.Errorf("%s has %.3f, want %.3f", f.Node, f.Share, f.Target)
		}
	}
}
