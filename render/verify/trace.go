package verify

import (
	"errors"
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
	// Random says that another connection of the same client may end elsewhere:
	// something was drawn on the way that is no hash of its address alone.
	Random bool
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

// String is the end in words, with its part of the packets.
func (e End) String() string { return percent(e.Fraction.Float()) + " " + e.Words() }

// Words is the end in words.
func (e End) Words() string {
	s := ""
	switch e.Kind {
	case Through:
		s = "falls through"
	case Translated:
		s = e.To.String()
	case Dropped:
		s = "dropped"
	case Redirected:
		s = "redirected to this host"
	default:
		s = "cannot tell (" + e.Reason + ")"
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
	known                      bool   // of connections that exist
	silent                     string // the set that is taken for empty
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
	w.rs, w.hook, w.v6, w.local, w.known, w.silent, w.status = rs, q.hook, q.v6, q.local, q.known, q.silent, q.status
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
