package weight

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weft/state"
)

// service is what the engine remembers of a ServicePort.
type service struct {
	scratch   *scratch
	gathered  *state.ServicePort // what the members were made of
	published *state.ServicePort
	told      time.Time // when it was
	lags      bool      // its figures do, see publish
	policy    state.Policy
	seen      time.Time

	endpoints []endpoint // of gathered, in its order
	members   []*member  // sorted
	live      []*member  // those with a base share
	gone      map[group]*member
	guard     guard
	young     bool    // some endpoint's weight still grows, or may begin to
	spill     float64 // 0 to 1, of the policy local; see stepSpill
	held      held
	still     stillness
}

// group is a node, or an endpoint of which no node is known.
type group struct {
	node    string
	address netip.Addr
}

func groupOf(e *state.Endpoint) group {
	if e.Node != "" {
		return group{node: e.Node}
	}
	return group{address: e.Address}
}

// member is a node that has endpoints of the ServicePort.
type member struct {
	group
	node *node   // nil if nothing is measured about it
	base float64 // the share that the weights alone give; 0 while it is out
	// slow and factor are the shares of the slow loop and those that are in use,
	// as multiples of base: they stay while other endpoints come and go.
	slow, factor float64
	target       float64 // the share that nothing would hold back
	latency      float64 // the factor; 0 while there is none
	followed     float64 // its logarithm, as far as the slow shares have followed it
	trim         float64 // a logarithm
	lean         float64 // the trim as far as the target follows it, see leanOn
	knowledge    knowledge
	stepped      time.Time // of the CPU sample that the trim saw last
	conns        conns
	past         past // of what the shares were worth, see note
	seen         time.Time
}

// endpoint is what the engine remembers of one of the gathered endpoints.
type endpoint struct {
	member *member
	since  time.Time // of a new one; zero for one of the first
	weight float64   // of its family, whose sum is 1
}

// place is what makes an endpoint the same one as before.
type place struct {
	netip.AddrPort
	node string
}

// gather takes in a ServicePort whose endpoints may be others than before.
func (s *service) gather(p *state.ServicePort, now time.Time) {
	since := s.ages()
	for _, m := range s.members {
		m.seen = now
		s.gone[m.group] = m
	}
	s.gathered, s.members, s.guard.idle = p, nil, false
	s.endpoints = make([]endpoint, len(p.Endpoints))
	present := make(map[group]*member, len(p.Endpoints))
	for i := range p.Endpoints {
		e := &p.Endpoints[i]
		g := groupOf(e)
		if present[g] == nil {
			present[g] = s.member(g)
			s.members = append(s.members, present[g])
		}
		s.endpoints[i] = endpoint{member: present[g]}
		if at, known := since[place{e.AddrPort(), e.Node}]; known || since == nil {
			s.endpoints[i].since = at
		} else {
			s.endpoints[i].since = now
		}
	}
	slices.SortFunc(s.members, func(a, b *member) int {
		return cmp.Or(strings.Compare(a.group.node, b.group.node), a.address.Compare(b.address))
	})
}

// ages is since when the endpoints are there; nil if there were none yet.
func (s *service) ages() map[place]time.Time {
	if s.gathered == nil {
		return nil
	}
	since := make(map[place]time.Time, len(s.endpoints))
	for i := range s.endpoints {
		e := &s.gathered.Endpoints[i]
		since[place{e.AddrPort(), e.Node}] = s.endpoints[i].since
	}
	return since
}

// member is one that was there before, or a new one without a factor.
func (s *service) member(g group) *member {
	m := s.gone[g]
	if m == nil {
		m = &member{group: g}
	}
	delete(s.gone, g)
	return m
}

func (s *service) forget(now time.Time) {
	for g, m := range s.gone {
		if now.Sub(m.seen) > memory {
			delete(s.gone, g)
		}
	}
}

// rebase makes the base shares of what the endpoints are now: their weights, how
// new they are, and whether their nodes answer. It reports whether any changed.
func (s *service) rebase(e *Engine, now time.Time) (changed bool) {
	for _, m := range s.members {
		if m.node = e.nodes[m.group.node]; m.node != nil && m.node.returned.Equal(now) {
			m.back()
		}
	}
	s.held.slowStart, s.held.alone, s.young = false, false, false
	changed = s.weigh(0, e, now)
	changed = s.weigh(1, e, now) || changed
	base := make(map[*member]float64, len(s.members))
	for i := range s.endpoints {
		base[s.endpoints[i].member] += s.endpoints[i].weight
	}
	s.live = s.live[:0:0]
	families := s.families()
	for _, m := range s.members {
		b := base[m] / families
		changed = changed || m.base != b
		if m.base = b; b > 0 {
			s.live = append(s.live, m)
		}
	}
	s.settle()
	return changed
}

// back is for a member whose node answers again. It begins slowly, so what its
// connections did when the node went holds it back no longer.
func (m *member) back() {
	m.conns = conns{count: m.conns.count, before: m.conns.before}
	m.past, m.stepped = past{}, time.Time{}
}

// families is how many have weights: each counts the same.
func (s *service) families() float64 {
	var some [2]float64
	for i := range s.endpoints {
		if s.endpoints[i].weight > 0 {
			some[s.family(i)] = 1
		}
	}
	return max(1, some[0]+some[1])
}

// family of an endpoint is 0 for IPv4 and 1 for IPv6.
func (s *service) family(i int) int {
	if s.gathered.Endpoints[i].Address.Is4() {
		return 0
	}
	return 1
}

// weigh makes the weights of the endpoints of one family. Where every node is
// out, it makes no difference that they are.
func (s *service) weigh(family int, e *Engine, now time.Time) (changed bool) {
	var ends []int
	for i := range s.endpoints {
		if s.family(i) == family {
			ends = append(ends, i)
		}
	}
	weights := make([]float64, len(ends))
	by := s.basesOf(ends, e.config.Base)
	for _, answering := range [...]bool{true, false} {
		for j, i := range ends {
			weights[j] = s.weight(i, &e.config, now, answering)
			if by != nil {
				weights[j] *= by[s.endpoints[i].member]
			}
		}
		if normalise(weights) {
			break
		}
		s.held.alone = s.held.alone || answering && len(ends) > 0
	}
	for j, i := range ends {
		changed = changed || s.endpoints[i].weight != weights[j]
		s.endpoints[i].weight = weights[j]
	}
	return changed
}

// weight of an endpoint before anything is measured.
func (s *service) weight(i int, c *Config, now time.Time, answering bool) float64 {
	w := s.given(i, c)
	if n := s.endpoints[i].member.node; answering && n != nil && n.out {
		return 0
	}
	if s.policy == state.PolicyEqual && w > 0 {
		w = 1
	}
	age := s.age(i, now)
	s.young = s.young || age < c.SlowStart
	if start, least := s.start(i, c); age < start && s.hasElder(c, now) {
		s.held.slowStart = true
		w *= max(least, float64(age)/float64(start))
	}
	return w
}

// start is how long an endpoint begins slowly, and the least part of its weight that it
// gets then. One that was there before, and whose node was out, is not cold: it begins
// faster.
func (s *service) start(i int, c *Config) (length time.Duration, least float64) {
	if n := s.endpoints[i].member.node; n != nil && n.returned.After(s.endpoints[i].since) {
		return c.SlowStart / 3, returnRamp
	}
	return c.SlowStart, leastRamp
}

// given is the weight of an endpoint as somebody chose it, with that of its node.
func (s *service) given(i int, c *Config) float64 {
	w := 1.0
	if chosen := s.gathered.Endpoints[i].Weight; chosen != nil {
		w = *chosen
	}
	if n, ok := c.NodeWeights[s.endpoints[i].member.group.node]; ok && n >= 0 {
		w *= min(n, mostWeight)
	}
	return min(w, mostWeight)
}

// basesOf are what each endpoint of a member counts for, of endpoints of one family;
// nil if each counts as one.
func (s *service) basesOf(ends []int, by Base) map[*member]float64 {
	if by != BaseNode && by != BaseCores || s.policy == state.PolicyEqual {
		return nil
	}
	count := make(map[*member]float64, len(s.members))
	for _, i := range ends {
		count[s.endpoints[i].member]++
	}
	cores := s.cores(by)
	for m, n := range count {
		count[m] = cores / n
		if by == BaseCores && m.node != nil && m.node.cores > 0 {
			count[m] = float64(m.node.cores) / n
		}
	}
	return count
}

// cores are those of a node that does not tell; 1 where nodes count alike.
func (s *service) cores(by Base) float64 {
	var known []float64
	for _, m := range s.members {
		if by == BaseCores && m.node != nil && m.node.cores > 0 {
			known = append(known, float64(m.node.cores))
		}
	}
	if len(known) == 0 {
		return 1
	}
	return s.scratch.median(known)
}

// age of an endpoint is since it was new, or since its node answers again.
func (s *service) age(i int, now time.Time) time.Duration {
	since := s.endpoints[i].since
	if n := s.endpoints[i].member.node; n != nil && n.returned.After(since) {
		since = n.returned
	}
	return now.Sub(since)
}

// hasElder reports whether there is an endpoint that can take the traffic while
// others are new.
func (s *service) hasElder(c *Config, now time.Time) bool {
	for i := range s.endpoints {
		n := s.endpoints[i].member.node
		if s.age(i, now) >= c.SlowStart && s.given(i, c) > 0 && (n == nil || !n.out) {
			return true
		}
	}
	return false
}

// settle gives members that are new the median of the others' factors.
func (s *service) settle() {
	var slow, factor, followed []float64
	for _, m := range s.live {
		if m.factor > 0 {
			slow, factor, followed = append(slow, m.slow), append(factor, m.factor), append(followed, m.followed)
		}
	}
	for _, m := range s.live {
		switch {
		case m.factor > 0:
		case len(factor) == 0:
			m.slow, m.factor = 1, 1
		default:
			m.slow, m.factor, m.followed = s.scratch.median(slow), s.scratch.median(factor), s.scratch.median(followed)
		}
	}
}

// shares are base shares times a factor. The factors are above 0.
func (s *service) shares(factor func(*member) float64) []float64 {
	p := s.scratch.floats(len(s.live))
	for i, m := range s.live {
		p[i] = m.base * factor(m)
	}
	if !normalise(p) {
		return s.bases()
	}
	return p
}

func (s *service) bases() []float64 {
	p := s.scratch.floats(len(s.live))
	for i, m := range s.live {
		p[i] = m.base
	}
	return p
}

func slowOf(m *member) float64   { return m.slow }
func factorOf(m *member) float64 { return m.factor }

// leastFactor is that of a node whose share is none where the floor is 0: a factor
// of 0 would be one of a node that is new.
const leastFactor = 1e-9

// setSlow and setFactor keep shares as factors.
func (s *service) setSlow(p []float64) {
	for i, m := range s.live {
		m.slow = max(p[i]/m.base, leastFactor)
	}
}

func (s *service) setFactor(p []float64) {
	for i, m := range s.live {
		m.factor = max(p[i]/m.base, leastFactor)
	}
}
