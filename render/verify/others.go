package verify

import (
	"cmp"
	"net/netip"
	"slices"

	"weft/render/verify/nfnl"
	"weft/state"
)

// maxOthers limits what is reported about packets that should be left alone.
const maxOthers = 100

// other is a class of packets that must be left alone: to other ports of our
// addresses, to other addresses, of connections that somebody else translated.
type other struct {
	what string
	// question is all but the ports, where it leaves those of ServicePorts out:
	// those of protocol, and of steered ones alone.
	question
	protocol state.Protocol
	steered  bool
	// met is what the last walk met.
	met []mark
}

// others are the classes that are none of the state's.
func (c *checker) others() (list []*other) {
	for _, v6 := range []bool{false, true} {
		ours, all := c.addressesOf(v6)
		for _, hook := range []Hook{Prerouting, Output} {
			list = append(list, steered(hook, v6, ours, all)...)
			if c.want.Heartbeat != "" && !ours.empty() {
				list = append(list, kept(hook, v6, ours, c.want.Heartbeat))
			}
		}
		list = append(list, replaced(v6, ours, all)...)
		list = append(list, hindered(v6, all)...)
	}
	return slices.DeleteFunc(list, func(o *other) bool { return !c.rs.asked(o) })
}

func hooks() []Hook { return []Hook{Prerouting, Input, Forward, Output, Postrouting} }

// asked reports whether any chain sees the packets: those of known connections
// come to no nat chain.
func (rs *Ruleset) asked(o *other) bool {
	return slices.ContainsFunc(rs.bases(o.hook, o.v6), func(b base) bool { return !o.known || b.Type != "nat" })
}

// hindered are packets that must get through, because no chain of ours has to do
// with them: all that go elsewhere behind prerouting, and all but the first of a
// connection, which go as that did.
func hindered(v6 bool, all domain) (list []*other) {
	q := question{v6: v6, proto: full(1), daddr: all, dport: full(2), origDaddr: all, origDport: full(2)}
	for _, hook := range []Hook{Input, Forward} {
		const what = "packets that are none of the state's are dropped or changed"
		plain := q
		plain.hook, plain.status = hook, statusDNATDone
		translated := plain
		translated.status, translated.translated = statusDNAT, true
		list = append(list, &other{what: what, question: plain}, &other{what: what, question: translated})
	}
	for _, hook := range hooks() {
		q.hook, q.known = hook, true
		list = append(list, &other{what: "packets of connections that exist are dropped or taken from them", question: q})
	}
	return list
}

// steered are packets that must not be translated.
func steered(hook Hook, v6 bool, ours, all domain) (list []*other) {
	const what = "packets that are none of the state's are steered"
	for _, g := range groups() {
		if !ours.empty() {
			q := question{hook: hook, v6: v6, local: true, proto: g.numbers, daddr: ours, dport: full(2), origDaddr: ours}
			list = append(list, &other{what: what, question: q, protocol: g.protocol})
		}
	}
	elsewhere := all.subtract(ours)
	q := question{hook: hook, v6: v6, proto: full(1), daddr: elsewhere, dport: full(2), origDaddr: elsewhere}
	return append(list, &other{what: what, question: q})
}

// kept are packets to our addresses once the heartbeat is over.
func kept(hook Hook, v6 bool, ours domain, heartbeat string) *other {
	q := question{hook: hook, v6: v6, local: true, silent: heartbeat, proto: full(1), daddr: ours, dport: full(2), origDaddr: ours}
	return &other{what: "packets are steered though the heartbeat is over", question: q}
}

// replaced are packets that must keep their source: what weft did not translate.
func replaced(v6 bool, ours, all domain) []*other {
	q := question{hook: Postrouting, v6: v6, proto: full(1), daddr: all, dport: full(2), origDport: full(2)}
	plain := q
	plain.status, plain.origDaddr = statusDNATDone, all
	list := []*other{{what: "the source of packets that were not translated is replaced", question: plain}}
	q.status, q.translated = statusDNAT, true
	const what = "the source of packets that somebody else translated is replaced"
	elsewhere := q
	elsewhere.origDaddr = all.subtract(ours)
	list = append(list, &other{what: what, question: elsewhere})
	for _, g := range groups() {
		if !ours.empty() {
			q.proto, q.origDaddr = g.numbers, ours
			list = append(list, &other{what: what, question: q, protocol: g.protocol, steered: true})
		}
	}
	return list
}

// on is the question about some of the ports.
func (o *other) on(ports domain) question {
	q := o.question
	if q.hook == Postrouting {
		q.origDport = ports
	} else {
		q.dport, q.origDport = ports, ports
	}
	return q
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

// group is a protocol of NodePorts, or all others together.
type group struct {
	protocol state.Protocol
	numbers  domain
}

func groups() []group {
	rest := full(1)
	var list []group
	for _, name := range []state.Protocol{state.TCP, state.UDP, state.SCTP} {
		number := only(small(uint64(protocolNumbers[name])))
		rest = rest.subtract(number)
		list = append(list, group{name, number})
	}
	return append(list, group{"", rest})
}

// free are the ports of the class: those that no ServicePort has.
func (c *checker) free(o *other) domain {
	if o.protocol == "" {
		return full(2)
	}
	k := class{o.protocol, o.steered}
	if d, ok := c.unused[k]; ok {
		return d
	}
	var used []uint16
	for _, sp := range c.st.ServicePorts {
		if sp.Protocol == o.protocol && (!o.steered || sp.Steered()) {
			used = append(used, sp.NodePort)
		}
	}
	if c.unused == nil {
		c.unused = map[class]domain{}
	}
	c.unused[k] = full(2).subtract(ports(used...))
	return c.unused[k]
}

// class is the ServicePorts of a protocol, or those of them that are steered.
type class struct {
	protocol state.Protocol
	steered  bool
}

// alone demands that nothing happens to packets of the class.
func (c *checker) alone(o *other, ports domain) {
	w := c.ask(o.on(ports))
	slices.SortStableFunc(w.leaves, func(a, b leaf) int { return a.firstPort(w).cmp(b.firstPort(w)) })
	for i := range w.leaves {
		if l := &w.leaves[i]; (l.kind != leafThrough || l.source.done || l.untracked) && !c.other(w, l, o) {
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
func (c *checker) other(w *walker, l *leaf, o *other) bool {
	s := Subject{Hook: o.hook, Conditions: w.conditions(l)}.at(l.trail)
	s.single(w, l)
	if l.kind == leafUnknown {
		c.report.Unknown = append(c.report.Unknown, Doubt{s, l.reason})
	} else {
		c.differ(s, o.what, "", l.end().String())
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
		for e := range c.each() {
			t.targets(e, add)
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
	s := r.summary()
	for _, d := range r.Differs {
		s += d.String() + "\n"
	}
	for _, d := range r.Unknown {
		s += d.String() + "\n"
	}
	return s
}
