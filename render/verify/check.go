package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"weft/state"
)

// Masquerade says for which translated packets the source must be replaced.
type Masquerade uint8

// The modes of masquerading.
const (
	// MasqueradeAll is for all.
	MasqueradeAll Masquerade = iota
	// MasqueradeRemote spares endpoints on this node, unless the source is such
	// an endpoint itself: its answer would not come back through us.
	MasqueradeRemote
	// MasqueradeNone is for none.
	MasqueradeNone
)

// Want is what the state does not say about the rules.
type Want struct {
	Masquerade Masquerade
	// Modulus is the number of slots that is asked for; 0 leaves it to the rules.
	Modulus int
	// Heartbeat is the set whose elements expire when nobody renews them: without
	// them nothing may be steered. It is empty for rules that outlive weft.
	Heartbeat string
}

// coarsest is how many slots rules must have at least, unless fewer are asked for:
// with two slots, halves would be within one slot of everything.
const coarsest = 100

func (w Want) slot(modulus uint64) float64 {
	least := coarsest
	if w.Modulus > 0 {
		least = min(least, w.Modulus)
	}
	if modulus == 0 {
		return 0 // nothing was drawn
	}
	return 1 / float64(max(modulus, uint64(least)))
}

// Check proves the rules against the state. For each ServicePort, address,
// and hook (prerouting, output) the distribution over endpoints must be
//
//   - all there: fractions sum to 1, nothing falls through or is dropped;
//   - exact in what is served: an endpoint with a share above 0 gets packets, any
//     other address gets none;
//   - within one slot of each share, where a slot is one part of the largest
//     modulus drawn from on the way to the ServicePort's endpoints, and no more than
//     a hundredth unless fewer slots are wanted. In a map that is its modulus; in a
//     cascade that of the first rule, since those behind it draw from what is left.
//     A share below one slot is allowed a whole one, and the other endpoints of its
//     ServicePort may miss what it has too much;
//   - the same for all connections of a client, if the ServicePort has affinity.
//
// Without the elements of the heartbeat, packets must fall through.
//
// What was translated must be masqueraded as wanted, nothing else may be, no
// other port or address may be steered, and each chain must be reachable.
func Check(rs *Ruleset, st *state.State, want Want) *Report {
	c := newChecker(rs, st, want)
	met := c.servicePorts(st.ServicePorts)
	if slices.ContainsFunc(met, func(list []mark) bool { return slices.ContainsFunc(list, mark.isCounter) }) {
		c.inStep(indexed(st.ServicePorts, met), st.ServicePorts)
	}
	for _, o := range c.others() {
		c.alone(o, c.free(o))
	}
	c.unreachable()
	return c.report
}

// inStep reports ServicePorts that share a numgen which counts: each may get every
// other number, always the same ones.
func (c *checker) inStep(x *index, list []*state.ServicePort) {
	for _, sp := range list {
		for _, m := range x.seen[sp] {
			if m.isCounter() && x.users[m].count > 1 {
				s := Subject{ServicePort: sp.ID(), Protocol: sp.Protocol, NodePort: sp.NodePort}
				c.report.Unknown = append(c.report.Unknown, Doubt{s, "numgen inc that other ServicePorts count with, too"})
			}
		}
	}
}

type checker struct {
	rs     *Ruleset
	st     *state.State
	want   Want
	report *Report
	// local are the addresses of endpoints on this node, by family, made when
	// first needed.
	local map[bool]domain
	// unused are the ports that no ServicePort of a class has, made likewise.
	unused map[class]domain
	// walker is asked one question after the other; its leaves hold until the next.
	walker walker
	// found is what endpoints get, made anew by each question.
	found []Fraction
}

func (c *checker) ask(q question) *walker {
	c.walker.ask(c.rs, q)
	return &c.walker
}

func newChecker(rs *Ruleset, st *state.State, want Want) *checker {
	return &checker{rs: rs, st: st, want: want, report: &Report{}}
}

func (c *checker) findings() int { return len(c.report.Differs) + len(c.report.Unknown) }

func (c *checker) servicePort(sp *state.ServicePort) {
	before := c.findings()
	for _, a := range c.st.Addresses {
		c.address(sp, a)
	}
	if c.findings() == before {
		c.report.Proven++
	}
}

// address checks both ways that a packet to one address can take, and what comes
// behind the translation.
func (c *checker) address(sp *state.ServicePort, a netip.Addr) {
	var wanted []state.Endpoint
	if sp.Steered() {
		wanted = endpoints(sp, a.Is6())
	}
	var before *question // what was asked of the packets behind the first hook
	for _, hook := range []Hook{Prerouting, Output} {
		s := Subject{ServicePort: sp.ID(), Protocol: sp.Protocol, NodePort: sp.NodePort, Address: a, Hook: hook}
		q, err := Packet{Protocol: sp.Protocol, Destination: netip.AddrPortFrom(a, sp.NodePort), Local: true}.question()
		if err != nil {
			c.report.Unknown = append(c.report.Unknown, Doubt{s, err.Error()})
			return
		}
		q.hook = hook
		w := c.ask(q)
		if len(wanted) > 0 && c.plain(w, sp.Affinity, wanted) {
			before = c.onward(s, q.behind(w), before, wanted)
			continue
		}
		for _, class := range c.classes(w, q, sp.Affinity, wanted) {
			s.Conditions = class.Conditions
			if len(wanted) == 0 {
				c.absent(s, class)
			} else {
				c.distribution(s, class, sp.Affinity, wanted)
			}
		}
		if len(wanted) > 0 {
			before = c.onward(s, q.behind(w), before, wanted)
		}
	}
}

// onward checks what comes behind a hook, unless it is what came behind the one
// before, with fewer hooks.
func (c *checker) onward(s Subject, q question, before *question, wanted []state.Endpoint) *question {
	if before == nil || string(before.mark) != string(q.mark) || string(before.ctMark) != string(q.ctMark) {
		c.behind(s, q, wanted)
	}
	return &q
}

// plain reports whether the walk is what is wanted, as far as that can be told
// without classes: all packets alike, and each translated.
func (c *checker) plain(w *walker, affinity state.Affinity, wanted []state.Endpoint) bool {
	c.found = append(c.found[:0], make([]Fraction, len(wanted))...)
	slots := uint64(0)
	for i := range w.leaves {
		l := &w.leaves[i]
		k := indexEndpoint(wanted, l.to)
		if l.kind != leafTranslated || len(l.env) > 0 || l.priority >= natDestination || k < 0 || l.random && affinity != "" {
			return false
		}
		c.found[k] = c.found[k].add(l.weight)
		slots = max(slots, l.modulus)
	}
	_, what := misweighed(c.found, wanted, c.want.slot(slots))
	return what == ""
}

// classes are those of the question. Before one is found wrong, it is asked once
// more with a look at what was drawn for nothing.
func (c *checker) classes(w *walker, q question, affinity state.Affinity, wanted []state.Endpoint) []Class {
	list := w.classes()
	bad := func(class Class) bool {
		what, _ := c.want.fault(class, wanted)
		return what != "" || affinity != "" && slices.ContainsFunc(class.Ends, func(e End) bool { return e.Random })
	}
	if len(wanted) == 0 || !slices.ContainsFunc(list, bad) {
		return list
	}
	w.keepDraws = true
	defer func() { w.keepDraws = false }()
	w.ask(c.rs, q)
	return w.classes()
}

func endpoints(sp *state.ServicePort, v6 bool) []state.Endpoint {
	other := func(e state.Endpoint) bool { return e.Address.Is6() != v6 }
	if !slices.ContainsFunc(sp.Endpoints, other) {
		return sp.Endpoints
	}
	return slices.DeleteFunc(slices.Clone(sp.Endpoints), other)
}

// at is the subject with the rule where an end came about.
func (s Subject) at(trail *step) Subject {
	if trail != nil {
		at := trail.export()
		s.Table, s.Chain, s.Handle = at.Table, at.Chain, at.Handle
	}
	return s
}

func (c *checker) differ(s Subject, what, wanted, found string) {
	c.report.Differs = append(c.report.Differs, Difference{s, what, wanted, found})
}

// doubts reports what cannot be told in a class, and whether there was any.
func (c *checker) doubts(s Subject, class Class) bool {
	found := false
	for _, e := range class.Ends {
		if e.Kind == Unknown {
			c.report.Unknown = append(c.report.Unknown, Doubt{s.at(e.trail), e.Reason})
			found = true
		}
	}
	return found
}

// absent demands that nothing happens to the packets.
func (c *checker) absent(s Subject, class Class) {
	if c.doubts(s, class) {
		return
	}
	for _, e := range class.Ends {
		if e.Kind != Through {
			c.differ(s.at(e.trail), "has rules and should have none", "", class.String())
			return
		}
	}
}

func (c *checker) distribution(s Subject, class Class, affinity state.Affinity, wanted []state.Endpoint) {
	if c.doubts(s, class) {
		return
	}
	if what, e := c.want.fault(class, wanted); what != "" {
		c.differ(s.at(e.trail), what, shares(wanted), class.String())
	}
	if i := slices.IndexFunc(class.Ends, func(e End) bool { return e.Random }); i >= 0 && affinity != "" {
		c.differ(s.at(class.Ends[i].trail), "a client does not keep its endpoint", "affinity "+string(affinity), "drawn for each connection")
	}
}

// fault is what is wrong with a distribution; empty if nothing is.
func (w Want) fault(class Class, wanted []state.Endpoint) (string, End) {
	var slots uint64
	for _, e := range class.Ends {
		switch {
		case e.Kind == Through:
			return "packets fall through", e
		case e.Kind == Dropped:
			return "packets are dropped", e
		case e.Kind == Redirected:
			return "packets are redirected to this host", e
		case e.Priority >= natDestination:
			return fmt.Sprintf("priority %d is not before kube-proxy's %d", e.Priority, natDestination), e
		}
		slots = max(slots, e.Slots)
	}
	for _, e := range class.Ends {
		if indexEndpoint(wanted, e.To) < 0 {
			return e.To.String() + " is no endpoint", e
		}
	}
	return weighed(class, wanted, w.slot(slots))
}

func indexEndpoint(list []state.Endpoint, to netip.AddrPort) int {
	for i := range list {
		if list[i].Port == to.Port() && list[i].Address == to.Addr() {
			return i
		}
	}
	return -1
}

// sumTolerance is by how much the shares of a state may miss their sum of 1.
const sumTolerance = 1e-6

// misweighed compares fractions with shares, as [Check] says, and names the first
// endpoint that has another.
func misweighed(found []Fraction, wanted []state.Endpoint, slot float64) (int, string) {
	raised := 0.0 // what endpoints have beyond a share below one slot
	for i := range wanted {
		if share := wanted[i].Share; share < slot {
			raised += max(0, found[i].Float()-share)
		}
	}
	for i := range wanted {
		got, share := found[i].Float(), wanted[i].Share
		switch {
		case share > 0 && found[i].IsZero():
			return i, "gets no packets"
		case share == 0 && !found[i].IsZero():
			return i, "gets packets though it is drained"
		case got > share+slot+sumTolerance, got < share-slot-raised-sumTolerance:
			return i, "gets another share"
		}
	}
	return 0, ""
}

// weighed is misweighed for a class, with the end that is at fault.
func weighed(class Class, wanted []state.Endpoint, slot float64) (string, End) {
	found, ends := make([]Fraction, len(wanted)), make([]int, len(wanted))
	for k := range class.Ends {
		i := indexEndpoint(wanted, class.Ends[k].To)
		found[i], ends[i] = found[i].add(class.Ends[k].Fraction), k
	}
	i, what := misweighed(found, wanted, slot)
	if what == "" {
		return "", End{}
	}
	return wanted[i].AddrPort().String() + " " + what, class.Ends[ends[i]]
}

// shares writes what the state wants.
func shares(wanted []state.Endpoint) string {
	var parts []string
	for _, e := range wanted {
		parts = append(parts, percent(e.Share)+" "+e.AddrPort().String())
	}
	return strings.Join(parts, ", ")
}
