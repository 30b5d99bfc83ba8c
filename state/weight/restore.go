package weight

import (
	"math"
	"slices"
	"time"

	"weft/state"
)

// restore takes shares, trims and cuts over from the state that an earlier run
// left, if it is young enough, so that a restart moves nothing.
func (e *Engine) restore(before *state.State, now time.Time) {
	if before == nil || before.Written.IsZero() || !isFresh(before.Written, now, memory) {
		return
	}
	for i := range before.Nodes { // an agent that was asked just now has not told yet
		if n := e.nodes[before.Nodes[i].Name]; n != nil && n.cores == 0 {
			n.cores = before.Nodes[i].Cores
		}
	}
	alone := !slices.ContainsFunc(before.Nodes, func(n state.Node) bool { return n.CPU != nil })
	for _, p := range before.ServicePorts {
		if !p.Steered() {
			continue
		}
		s := e.service(p)
		s.policy, s.seen = e.policyOf(p), now
		s.gather(p, now)
		s.rebase(e, now)
		s.takeFactors(p, alone)
		s.takeSpill()
		s.takeShares(p)
	}
}

// takeFactors takes factors over. A cut is one that will be let go soon, but where the
// guard was alone: there it is mostly what was learned.
func (s *service) takeFactors(p *state.ServicePort, alone bool) {
	for _, f := range p.Factors {
		for _, m := range s.members {
			if m.group.node != f.Node || m.address != f.Address {
				continue
			}
			if f.Latency != nil {
				m.latency = within(*f.Latency, 0, 1)
				m.followed = math.Log(m.latencyFactor())
			}
			m.trim = logOf(f.Trim, -trimLimit, trimLimit)
			m.knowledge.usual = m.trim
			if alone {
				m.conns.learned = logOf(f.Guard, -trimLimit, 0)
			} else {
				m.conns.cut = logOf(f.Guard, -failLimit, 0)
			}
		}
	}
	s.centre()
	for _, m := range s.live {
		m.lean = m.trim
	}
}

// logOf is the logarithm of a factor that may be missing, within limits.
func logOf(f *float64, least, most float64) float64 {
	if f == nil || !(*f > 0) {
		return 0
	}
	return min(max(math.Log(*f), least), most)
}

// takeShares makes factors of the shares that are in use. A node that had none
// was out, and comes back as a new one would.
func (s *service) takeShares(p *state.ServicePort) {
	share := map[*member]float64{}
	families := s.families()
	for i := range p.Endpoints {
		share[s.endpoints[i].member] += p.Endpoints[i].Share / families
	}
	for _, m := range s.live {
		m.factor = share[m] / m.base
		m.slow = m.factor / m.conns.factor()
	}
	for _, m := range s.members {
		if m.base == 0 {
			m.factor, m.slow = 0, 0
		}
	}
	s.settle()
}
