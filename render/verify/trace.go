package verify

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"weft/state"
)

// Packet is the first packet of a connection. Everything that is not said here
// is symbolic.
type Packet struct {
	Protocol state.Protocol
	// Destination is where the packet goes at this hook.
	Destination netip.AddrPort
	// Original is what the connection was opened to, for the hooks behind a
	// translation; the zero value is Destination.
	Original netip.AddrPort
	// Local says that Destination is an address of this host.
	Local bool
}

// Kind is what becomes of packets.
type Kind uint8

// The ends of packets.
const (
	Through    Kind = iota // nothing of ours happens to them: they fall through to what stands behind
	Translated             // their destination is rewritten
	Dropped                // they are dropped or rejected
	Unknown                // cannot be told
	Redirected             // they are redirected to this host
)

// End is an end that some part of the packets come to.
type End struct {
	Kind Kind
	// To is the destination of a translation.
	To netip.AddrPort
	// Masqueraded says that the source is replaced, by the outgoing interface's
	// address or by Source.
	Masqueraded bool
	Source      netip.Addr
	// Fraction is the part of the packets, exactly.
	Fraction Fraction
	// Slots is the largest modulus that was drawn from on the way; 0 is none.
	Slots uint64
	// Priority is that of the base chain that translated.
	Priority int32
	// Reason says why an end is not known.
	Reason string

	trail *step
}

// Path is the rules that sent the packets here, in order; those of one of the
// ways where there are several.
func (e End) Path() []Step {
	var list []Step
	for s := e.trail; s != nil; s = s.prev {
		list = append(list, s.export())
	}
	slices.Reverse(list)
	return list
}

// String is the end in words.
func (e End) String() string {
	s := percent(e.Fraction.Float()) + " "
	switch e.Kind {
	case Through:
		s += "falls through"
	case Translated:
		s += e.To.String()
	case Dropped:
		s += "dropped"
	case Redirected:
		s += "redirected to this host"
	default:
		s += "cannot tell (" + e.Reason + ")"
	}
	if e.Masqueraded {
		s += " masqueraded"
	}
	return s
}

// percent is a share as people read it.
func percent(share float64) string { return strconv.FormatFloat(share*100, 'g', 6, 64) + "%" }

// Class is packets that meet the same conditions on what the state says nothing
// about (the source, interfaces, marks).
type Class struct {
	// Conditions are empty where it does not matter.
	Conditions []string
	// Ends have fractions that sum to 1, sorted by To.
	Ends []End
}

// String is the distribution of the class.
func (c Class) String() string {
	var parts []string
	for _, e := range c.Ends {
		parts = append(parts, e.String())
	}
	return strings.Join(parts, ", ")
}

// Outcome is what happens to a packet: one class, or several where it depends on
// what is symbolic.
type Outcome struct{ Classes []Class }

// ErrPacket is a Packet that cannot be traced.
var ErrPacket = errors.New("packet has no usable address or protocol")

// Trace walks the rules of a hook for a new packet.
func (rs *Ruleset) Trace(hook Hook, p Packet) (Outcome, error) {
	q, err := p.question()
	if err != nil {
		return Outcome{}, err
	}
	q.hook = hook
	w := &walker{}
	w.ask(rs, q)
	return Outcome{w.classes()}, nil
}

// protocolNumbers are IPPROTO_*.
var protocolNumbers = map[state.Protocol]uint8{state.TCP: 6, state.UDP: 17, state.SCTP: 132}

func (p Packet) question() (question, error) {
	number, ok := protocolNumbers[p.Protocol]
	if !ok || !p.Destination.IsValid() {
		return question{}, ErrPacket
	}
	if !p.Original.IsValid() {
		p.Original = p.Destination
	}
	if p.Original.Addr().Is4() != p.Destination.Addr().Is4() {
		return question{}, ErrPacket
	}
	q := question{
		v6: p.Destination.Addr().Is6(), local: p.Local,
		proto: only(small(uint64(number))),
		daddr: addresses(p.Destination.Addr()), dport: ports(p.Destination.Port()),
		origDaddr: addresses(p.Original.Addr()), origDport: ports(p.Original.Port()),
	}
	if p.Original != p.Destination {
		q.status, q.translated = statusDNAT, true
	}
	return q, nil
}

func addresses(list ...netip.Addr) domain {
	spans := make([]span, len(list))
	for i, a := range list {
		n := bigEndian(a.AsSlice())
		spans[i] = span{n, n}
	}
	return newDomain(spans)
}

func ports(list ...uint16) domain {
	spans := make([]span, len(list))
	for i, p := range list {
		spans[i] = span{small(uint64(p)), small(uint64(p))}
	}
	return newDomain(spans)
}

// question is a class of packets at a hook.
type question struct {
	hook                       Hook
	v6, local                  bool
	proto, daddr, dport, saddr domain
	origDaddr, origDport       domain
	status                     uint32
	translated                 bool // orig is not the current destination
	mark, ctMark               []byte
}

// maxGivenUp is how often a walker finds out that there are too many ways before
// it takes that for granted: a report that cannot be ok should not take minutes.
const maxGivenUp = 4

// ask walks the rules. A walker can be asked again, which lets go of the leaves
// of the last question.
func (w *walker) ask(rs *Ruleset, q question) {
	width := uint8(4)
	if q.v6 {
		width = 16
	}
	if q.saddr == nil {
		q.saddr = full(width)
	}
	w.reset()
	w.rs, w.hook, w.v6, w.local, w.status = rs, q.hook, q.v6, q.local, q.status
	w.orig = [2]int32{varDaddr, varDport}
	if q.translated {
		w.orig = [2]int32{varOrigDaddr, varOrigDport}
	}
	w.bases = rs.bases(q.hook, q.v6)
	w.vars = append(w.vars,
		variable{},
		variable{name: "destination", width: width, kind: target, dom: q.daddr},
		variable{name: "source", width: width, dom: q.saddr},
		variable{name: "protocol", width: 1, kind: target, dom: q.proto},
		variable{name: "port", width: 2, kind: target, dom: q.dport},
		variable{name: "source port", width: 2, dom: full(2)},
		variable{name: "original destination", width: width, kind: target, dom: q.origDaddr},
		variable{name: "original port", width: 2, kind: target, dom: q.origDport},
	)
	w.limit = maxManySteps
	if _, one := q.dport.single(); one {
		w.limit = maxSteps
	}
	if w.gaveUp > maxGivenUp {
		w.giveUp()
		return
	}
	p := (&path{fields: [2]int32{varDaddr, varDport}}).clone(w)
	w.markOf(&p.mark, q.mark, key{kind: keyMeta, a: metaMark}, "mark")
	w.markOf(&p.ctMark, q.ctMark, key{kind: keyCt, a: ctMark}, "ct mark")
	w.run(p)
}

// reset forgets a question but keeps the memory that it took.
func (w *walker) reset() {
	clear(w.keys)
	clear(w.hashes)
	w.vars, w.leaves, w.pending, w.steps = w.vars[:0], w.leaves[:0], w.pending[:0], 0
}

// markOf sets a mark to what an earlier hook left, or makes it free.
func (w *walker) markOf(m *[4]symbol, known []byte, k key, name string) {
	if known != nil {
		for i := range m {
			m[i] = constant(known[i])
		}
		return
	}
	v := w.variable(k, name, 4, free)
	for i := range uint8(4) {
		at := i
		if littleEndian() {
			at = 3 - i
		}
		m[i] = symbol{variable: v, index: at, and: 0xff}
	}
}

// classes groups the leaves by what they say about free variables.
func (w *walker) classes() []Class {
	cells, ok := w.cells()
	if !ok {
		return []Class{{Ends: []End{{Kind: Unknown, Fraction: NewFraction(1, 1), Reason: "too many conditions on the source"}}}}
	}
	var list []Class
	for _, c := range cells {
		class := Class{Conditions: c.conditions(w), Ends: w.ends(c)}
		if i := slices.IndexFunc(list, func(o Class) bool { return slices.EqualFunc(o.Ends, class.Ends, sameEnd) }); i >= 0 {
			list[i].Conditions = alternatives(list[i].Conditions, class.Conditions)
			continue
		}
		list = append(list, class)
	}
	if len(list) == 1 {
		list[0].Conditions = nil
	}
	return list
}

// alternatives joins the conditions of two cells with the same ends.
func alternatives(a, b []string) []string {
	return []string{strings.Join(a, " and ") + " or " + strings.Join(b, " and ")}
}

func sameEnd(a, b End) bool {
	return a.Kind == b.Kind && a.To == b.To && a.Masqueraded == b.Masqueraded && a.Source == b.Source &&
		a.Reason == b.Reason && a.Priority == b.Priority && a.Fraction.equal(b.Fraction)
}

// cell is one value range of each free variable that any leaf depends on.
type cell []part

const (
	maxCells = 256
	// maxNarrowed limits the leaves with conditions, each of which is compared with
	// each cell.
	maxNarrowed = 4096
)

// cells cuts the space of free variables so that no leaf covers a cell in part.
func (w *walker) cells() ([]cell, bool) {
	cells := []cell{nil}
	narrowed := 0
	for i := range w.leaves {
		if w.leaves[i].env != nil {
			narrowed++
		}
	}
	if narrowed > maxNarrowed {
		return nil, false
	}
	for v := range w.vars {
		if w.vars[v].kind != free {
			continue
		}
		atoms := w.atoms(int32(v))
		if len(atoms) < 2 {
			continue
		}
		if len(atoms)*len(cells) > maxCells {
			return nil, false
		}
		var next []cell
		for _, c := range cells {
			for _, a := range atoms {
				next = append(next, append(slices.Clip(slices.Clone(c)), part{int32(v), a}))
			}
		}
		cells = next
	}
	return cells, true
}

// atoms are the finest ranges of a variable that the leaves tell apart.
func (w *walker) atoms(v int32) []domain {
	atoms := []domain{w.vars[v].dom}
	for i := range w.leaves {
		d := w.leaves[i].domain(v)
		if d == nil {
			continue
		}
		var next []domain
		for _, a := range atoms {
			for _, x := range []domain{a.intersect(d), a.subtract(d)} {
				if !x.empty() {
					next = append(next, x)
				}
			}
		}
		if atoms = next; len(atoms) > maxCells {
			return atoms
		}
	}
	return atoms
}

func (l *leaf) domain(v int32) domain { return narrowed(l.env, v) }

func (c cell) conditions(w *walker) []string {
	var list []string
	for _, p := range c {
		v := w.vars[p.variable]
		list = append(list, v.name+" in "+p.in.format(4, func(n num) string { return w.text(p.variable, n) }))
	}
	return list
}

// text is a value of a variable as a person writes it.
func (w *walker) text(v int32, n num) string {
	switch v {
	case varDaddr, varSaddr, varOrigDaddr:
		return w.toAddr(n).String()
	case varProto, varDport, varSport, varOrigDport:
		return fmt.Sprint(n.lo)
	}
	return n.hex()
}

// covers reports whether a leaf is reached from a cell.
func (l *leaf) covers(c cell) bool {
	for _, p := range c {
		if d := l.domain(p.variable); d != nil && d.intersect(p.in).empty() {
			return false
		}
	}
	return true
}

// ends sums the leaves of a cell by where they end.
func (w *walker) ends(c cell) []End {
	list := make([]End, 0, len(w.leaves))
	for i := range w.leaves {
		l := &w.leaves[i]
		if !l.covers(c) {
			continue
		}
		e := l.end()
		k := slices.IndexFunc(list, func(o End) bool {
			return o.To == e.To && o.Kind == e.Kind && o.Masqueraded == e.Masqueraded && o.Source == e.Source &&
				o.Reason == e.Reason && o.Priority == e.Priority
		})
		if k < 0 {
			list = append(list, e)
			continue
		}
		list[k].Fraction = list[k].Fraction.add(e.Fraction)
		list[k].Slots = max(list[k].Slots, e.Slots)
	}
	slices.SortStableFunc(list, func(a, b End) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return a.To.Compare(b.To)
	})
	return list
}

func (l *leaf) end() End {
	kinds := [...]Kind{Through, Translated, Dropped, Unknown, Redirected}
	return End{
		Kind: kinds[l.kind], To: l.to, Masqueraded: l.source.done, Source: l.source.to,
		Fraction: l.weight, Slots: l.modulus, Priority: l.priority, Reason: l.reason, trail: l.trail,
	}
}
