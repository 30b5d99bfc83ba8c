package verify

import (
	"net/netip"
	"slices"

	"weft/state"
)

// behind checks what happens to packets after the translation: that nothing of
// ours drops them on their way, and whether they are masqueraded.
func (c *checker) behind(s Subject, q question, wanted []state.Endpoint) {
	onward := []Hook{Forward, Input}
	if q.hook == Output {
		onward = []Hook{Input}
	}
	for _, hook := range onward {
		if len(c.rs.bases(hook, q.v6)) > 0 {
			s.Hook, q.hook = hook, hook
			c.passes(s, q.to(wanted), wanted)
		}
	}
	s.Hook, q.hook = Postrouting, Postrouting
	c.masquerades(s, q, wanted)
}

// behind is the question about the packets that a walk translated. Its hook is
// still the one that they came from.
func (q question) behind(w *walker) question {
	return question{
		hook: q.hook, v6: q.v6, proto: q.proto, status: statusDNAT, translated: true,
		origDaddr: q.daddr, origDport: q.dport,
		mark:   commonMark(w.leaves, func(l *leaf) *[4]symbol { return &l.mark }),
		ctMark: commonMark(w.leaves, func(l *leaf) *[4]symbol { return &l.ctMark }),
	}
}

// commonMark is the mark that all leaves leave, or nil: then it is free again.
func commonMark(leaves []leaf, of func(*leaf) *[4]symbol) []byte {
	var mark []byte
	for i := range leaves {
		m := of(&leaves[i])
		b, ok := constants(m[:], nil)
		if !ok || mark != nil && string(b) != string(mark) {
			return nil
		}
		mark = append([]byte(nil), b...)
	}
	return mark
}

// to sets the destination to the endpoints.
func (q question) to(list []state.Endpoint) question {
	addrs, nums := make([]netip.Addr, len(list)), make([]uint16, len(list))
	for i, e := range list {
		addrs[i], nums[i] = e.Address, e.Port
	}
	q.daddr, q.dport = addresses(addrs...), ports(nums...)
	return q
}

// reaches reports whether a leaf is one of a packet to some endpoint: the
// question crosses all addresses with all ports.
func (l *leaf) reaches(list []state.Endpoint) bool {
	a, p := l.domain(varDaddr), l.domain(varDport)
	for i := range list {
		e := &list[i]
		if (a == nil || a.contains(bigEndian(e.Address.AsSlice()))) && (p == nil || p.contains(small(uint64(e.Port)))) {
			return true
		}
	}
	return false
}

func (c *checker) passes(s Subject, q question, wanted []state.Endpoint) {
	for _, l := range c.ask(q).leaves {
		switch {
		case !l.reaches(wanted):
		case l.kind == leafUnknown:
			c.report.Unknown = append(c.report.Unknown, Doubt{s.at(l.trail), l.reason})
		case l.kind != leafThrough:
			c.differ(s.at(l.trail), "translated packets are dropped", "", "")
		case l.source.done:
			c.differ(s.at(l.trail), "the source of translated packets is replaced", "", "")
		}
	}
}

// masquerades asks once for each group of endpoints that wants the same.
func (c *checker) masquerades(s Subject, q question, wanted []state.Endpoint) {
	if c.want.Masquerade != MasqueradeRemote && !slices.ContainsFunc(wanted, drained) {
		c.masqueraded(s, q.to(wanted), wanted, c.want.Masquerade != MasqueradeNone)
		return
	}
	var here []state.Endpoint
	there := make([]state.Endpoint, 0, len(wanted))
	for _, e := range wanted {
		switch {
		case drained(e):
		case c.want.Masquerade == MasqueradeRemote && e.Node == c.st.Node:
			here = append(here, e)
		default:
			there = append(there, e)
		}
	}
	if len(there) > 0 {
		c.masqueraded(s, q.to(there), there, c.want.Masquerade != MasqueradeNone)
	}
	if len(here) == 0 {
		return
	}
	q = q.to(here)
	local := c.localEndpoints(q.v6)
	q.saddr = local
	c.masqueraded(s, q, here, true)
	q.saddr = full(uint8(here[0].Address.BitLen() / 8)).subtract(local)
	c.masqueraded(s, q, here, false)
}

func drained(e state.Endpoint) bool { return e.Share == 0 }

func (c *checker) masqueraded(s Subject, q question, list []state.Endpoint, want bool) {
	w := c.ask(q)
	for i := range w.leaves {
		l := &w.leaves[i]
		if !l.reaches(list) {
			continue
		}
		s.Conditions = w.conditions(l)
		switch found := c.isMasquerade(l.source); {
		case l.kind == leafUnknown:
			c.report.Unknown = append(c.report.Unknown, Doubt{s.at(l.trail), l.reason})
		case l.kind != leafThrough:
			c.differ(s.at(l.trail), "translated packets are dropped", "", "")
		case found != want && want:
			c.differ(s.at(l.trail), "translated packets are not masqueraded", "", "")
		case found != want || l.source.done && !found:
			c.differ(s.at(l.trail), "the source of translated packets is replaced", "", "")
		case found && l.priority >= natSource:
			c.differ(s.at(l.trail), "masquerading is not before kube-proxy's", "", "")
		}
	}
}

// isMasquerade: snat to an address of the node does the same.
func (c *checker) isMasquerade(s sourceNAT) bool {
	if s.masquerade {
		return true
	}
	for _, a := range c.st.Addresses {
		if s.done && s.to == a {
			return true
		}
	}
	return false
}

// conditions are a leaf's on free variables and on the question.
func (w *walker) conditions(l *leaf) []string {
	var c cell
	for _, p := range l.env {
		if !p.in.equal(w.vars[p.variable].dom) {
			c = append(c, p)
		}
	}
	return c.conditions(w)
}

func (c *checker) localEndpoints(v6 bool) domain {
	if d, ok := c.local[v6]; ok {
		return d
	}
	var list []netip.Addr
	for _, sp := range c.st.ServicePorts {
		if !sp.Steered() {
			continue
		}
		for _, e := range sp.Endpoints {
			if e.Node == c.st.Node && e.Address.Is6() == v6 {
				list = append(list, e.Address)
			}
		}
	}
	if c.local == nil {
		c.local = map[bool]domain{}
	}
	c.local[v6] = addresses(list...)
	return c.local[v6]
}
