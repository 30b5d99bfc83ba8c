package weight_test

import (
	"math/rand/v2"
	"testing"

	"weft/state/weight"
)

// TestLatencyNoise: latencies that are never the same twice, as on a noisy network, make
// hardly any rules, and yet a node that is farther away has less at once.
func TestLatencyNoise(t *testing.T) {
	const nodes = 10
	p := begin(t, weight.Default(), same(.001, nodes), same(.1, nodes))
	random := rand.New(rand.NewPCG(1, 2))
	rules := map[[nodes]float64]bool{}
	noisy := func(until int, base []float64) {
		for ; p.at < until; p.until(p.at) {
			if p.at%5 != 0 {
				continue
			}
			for i := range p.latency { // as a prober smooths rounds
				p.latency[i] += .15 * (base[i] + .003*(random.Float64()-.5) - p.latency[i])
			}
			if p.last != nil {
				rules[[nodes]float64(sharesOf(p.last.ServicePorts[0]))] = true
			}
		}
	}
	noisy(300, same(.002, nodes))
	clear(rules)
	noisy(2100, same(.002, nodes))
	if len(rules) > 3 {
		t.Errorf("%d times other shares in half an hour of noise", len(rules))
	}
	farther := same(.002, nodes)
	farther[3] = .004
	noisy(2160, farther)
	if share := sharesOf(p.last.ServicePorts[0])[3]; share > .09 {
		t.Errorf("a node that is farther away has %.3f after a minute", share)
	}
}
