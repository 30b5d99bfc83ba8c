package weight

import (
	"math"
	"time"

	"weft/state"
)

// This file is about the policy local: nodes that are about as near as the nearest
// take the traffic, and the others what is too much for those. How much that is, is
// found as the trims are: more while the near ones are busy, less while they are not.

const (
	far           = 0.02      // the factor of a node that is not near, while those are not busy
	spillAt       = 0.75      // mean CPU use of the near nodes that is wanted at most
	spillGain     = 0.06      // of the spill for each second and unit of CPU use
	spillGainSlow = 0.02      // where samples are old
	spillLeak     = 1 / 600.0 // for each second without any
	mostSpill     = 0.98      // of 1, so that the state file still tells who is near
)

// stepSpill moves the spill by how busy the near nodes are. Where that is not known
// nothing spills in the end.
func (s *service) stepSpill(latency []float64, peers bool, dt time.Duration) {
	nearest, sum, n := least(latency), 0.0, 0.0
	for i, m := range s.live {
		if m.hasCPU() && latency[i] <= nearest+nearby {
			sum += m.node.cpu.ratio
			n++
		}
	}
	gain := spillGainSlow
	if peers {
		gain = spillGain
	}
	change := -spillLeak
	if n > 0 {
		change = gain * (sum/n - spillAt)
	}
	s.spill = within(s.spill+change*dt.Seconds(), 0, mostSpill)
}

// far is the factor of the nodes that are not near.
func (s *service) far() float64 { return math.Pow(far, 1-s.spill) }

// takeSpill takes over the spill that gave the least of the factors; where that is 1
// all nodes are near.
func (s *service) takeSpill() {
	least := 1.0
	for _, m := range s.members {
		least = min(least, m.latencyFactor())
	}
	if s.policy == state.PolicyLocal && least < 1 {
		s.spill = within(1-math.Log(least)/math.Log(far), 0, mostSpill)
	}
}
