package verify

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"weft/render/verify/nfnl"
	"weft/state"
)

// maxOthers limits what is reported about packets that should be left alone.
const maxOthers = 100

// others proves that packets to anything else are left alone: other ports of our
// addresses, other addresses, connections that somebody else translated.
func (c *checker) others() {
	for _, v6 := range []bool{false, true} {
		ours, all := c.addressesOf(v6)
		if len(c.rs.bases(Prerouting, v6))+len(c.rs.bases(Output, v6))+len(c.rs.bases(Postrouting, v6)) == 0 {
			continue
		}
		for _, hook := range []Hook{Prerouting, Output} {
			for _, g := range c.groups(false) {
				if !ours.empty() {
					c.alone(question{hook: hook, v6: v6, local: true, proto: g.proto, daddr: ours, dport: g.free})
				}
			}
			c.alone(question{hook: hook, v6: v6, proto: full(1), daddr: all.subtract(ours), dport: full(2)})
		}
		c.foreign(v6, ours, all)
	}
}

func (c *checker) addressesOf(v6 bool) (ours, all domain) {
	var list []netip.Addr
	for _, a := range c.st.Addresses {
		if a.Is6() == v6 {
			list = append(list, a)
		}
	}
	all = full(4)
	if v6 {
		all = full(16)
	}
	return addresses(list...), all
}

// group is a protocol with the ports that no ServicePort of the state has.
type group struct {
	proto, free domain
}

// groups are the protocols of NodePorts, and all others together.
func (c *checker) groups(steeredOnly bool) []group {
	used := map[state.Protocol][]uint16{}
	for _, sp := range c.st.ServicePorts {
		if !steeredOnly || sp.Steered() {
			used[sp.Protocol] = append(used[sp.Protocol], sp.NodePort)
		}
	}
	rest := full(1)
	var list []group
	for _, name := range []state.Protocol{state.TCP, state.UDP, state.SCTP} {
		proto := only(small(uint64(protocolNumbers[name])))
		rest = rest.subtract(proto)
		list = append(list, group{proto, full(2).subtract(ports(used[name]...))})
	}
	return append(list, group{rest, full(2)})
}

// alone demands that nothing happens to a class of packets.
func (c *checker) alone(q question) {
	q.origDaddr, q.origDport = q.daddr, q.dport
	w := c.ask(q)
	slices.SortStableFunc(w.leaves, func(a, b leaf) int { return a.firstPort(w).cmp(b.firstPort(w)) })
	for i := range w.leaves {
		if l := &w.leaves[i]; l.kind != leafThrough && !c.other(w, l, q.hook, "packets that are none of the state's are steered") {
			return
		}
	}
}

func (l *leaf) firstPort(w *walker) num {
	if d := l.domain(varDport); len(d) > 0 {
		return d[0].lo
	}
	return w.vars[varDport].dom[0].lo
}

// other reports a leaf that should not be; false when enough was said.
func (c *checker) other(w *walker, l *leaf, hook Hook, what string) bool {
	s := Subject{Hook: hook, Conditions: w.conditions(l)}.at(l.trail)
	s.single(w, l)
	if l.kind == leafUnknown {
		c.report.Unknown = append(c.report.Unknown, Doubt{s, l.reason})
	} else {
		c.differ(s, what, "", l.end().String())
	}
	return c.findings() < maxOthers
}

// single names the port, protocol and address where the leaf has only one.
func (s *Subject) single(w *walker, l *leaf) {
	get := func(v int32) (num, bool) {
		if d := l.domain(v); d != nil {
			return d.single()
		}
		return w.vars[v].dom.single()
	}
	if n, ok := get(varDport); ok {
		s.NodePort = uint16(n.lo)
	}
	if n, ok := get(varProto); ok {
		for name, number := range protocolNumbers {
			if uint64(number) == n.lo {
				s.Protocol = name
			}
		}
	}
	if n, ok := get(varDaddr); ok {
		s.Address = w.toAddr(n)
	}
}

// foreign demands that what weft did not translate keeps its source.
func (c *checker) foreign(v6 bool, ours, all domain) {
	q := question{hook: Postrouting, v6: v6, proto: full(1), daddr: all, dport: full(2)}
	plain := q
	plain.status, plain.origDaddr, plain.origDport = statusDNATDone, all, full(2)
	c.keepsSource(plain, "the source of packets that were not translated is replaced")
	q.status, q.translated = statusDNAT, true
	elsewhere := q
	elsewhere.origDaddr, elsewhere.origDport = all.subtract(ours), full(2)
	const what = "the source of packets that somebody else translated is replaced"
	c.keepsSource(elsewhere, what)
	if ours.empty() {
		return
	}
	for _, g := range c.groups(true) {
		q.proto, q.origDaddr, q.origDport = g.proto, ours, g.free
		c.keepsSource(q, what)
	}
}

func (c *checker) keepsSource(q question, what string) {
	w := c.ask(q)
	for i := range w.leaves {
		l := &w.leaves[i]
		if (l.kind != leafThrough || l.source.done) && !c.other(w, l, q.hook, what) {
			return
		}
	}
}

// unreachable reports chains that no base chain leads to.
func (c *checker) unreachable() {
	for _, t := range c.rs.tables {
		seen := map[*chain]bool{}
		for _, ch := range t.chains {
			if ch.Hook != nil {
				t.reach(ch, seen)
			}
		}
		var lost []*chain
		for _, ch := range t.chains {
			if !seen[ch] {
				lost = append(lost, ch)
			}
		}
		slices.SortFunc(lost, func(a, b *chain) int { return cmp.Compare(a.Name, b.Name) })
		for _, ch := range lost {
			c.differ(Subject{Table: t.id(), Chain: ch.Name}, "nothing reaches this chain", "", "")
		}
	}
}

// reach marks what a chain leads to.
func (t *table) reach(from *chain, seen map[*chain]bool) {
	todo := []*chain{from}
	add := func(v *nfnl.Verdict) {
		if v != nil && v.Chain != "" && t.chains[v.Chain] != nil {
			todo = append(todo, t.chains[v.Chain])
		}
	}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[c] {
			continue
		}
		seen[c] = true
		for _, rule := range c.rules {
			for _, e := range rule.Exprs {
				t.targets(e, add)
			}
		}
	}
}

func (t *table) targets(e nfnl.Expr, add func(*nfnl.Verdict)) {
	switch e := e.(type) {
	case *nfnl.Immediate:
		add(e.Verdict)
	case *nfnl.Lookup:
		if s := t.sets[e.Set]; s != nil && e.Map && e.Dreg == 0 {
			for i := range s.elements {
				add(s.elements[i].Verdict)
			}
		}
	}
}

// String is the report in lines.
func (r *Report) String() string {
	s := fmt.Sprintf("%d proven, %d differ, %d cannot be told\n", r.Proven, len(r.Differs), len(r.Unknown))
	for _, d := range r.Differs {
		s += d.String() + "\n"
	}
	for _, d := range r.Unknown {
		s += d.String() + "\n"
	}
	return s
}
