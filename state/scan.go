package state

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// This file reads documents in exactly the form that the Encoder writes, about
// twenty times as fast as yaml.v3: a cluster that has used up its NodePort range
// has 27,680 endpoints in its state. Whatever does not look like
// that form, or fails a check, is not an error here but is left to the strict
// reader; a differential fuzz test proves that what is taken here means the same
// there. No string of a ServicePort is a part of the text, which would keep all of
// it in memory.

// scanServicePort returns nil for a document that it does not take.
func scanServicePort(text string, words words) *ServicePort {
	s := scanner{rest: text, words: words}
	p := &ServicePort{}
	s.literal("kind: ServicePort\n")
	p.Namespace = s.keep(s.name("namespace: "))
	p.Name = s.keep(s.name("name: "))
	if !s.optional("port: \"\"\n") {
		p.Port = s.keep(s.name("port: "))
	}
	p.Protocol = Protocol(s.keep(s.line("protocol: ")))
	p.NodePort = uint16(s.whole(s.line("nodePort: "), 16))
	if s.optional("policy: ") {
		p.Policy = Policy(s.keep(s.until("\n")))
		s.require(p.Policy.Known())
	}
	if s.optional("affinity: ") {
		p.Affinity = Affinity(s.keep(s.until("\n")))
		s.require(p.Affinity.Known())
	}
	if s.optional("skipped: ") {
		p.Skipped = s.keep(s.until("\n"))
		s.require(isPlain(p.Skipped))
	}
	p.Held = s.held()
	if s.optional("factors:\n") {
		p.Factors = s.factors()
	}
	if s.optional("endpoints:\n") {
		p.Endpoints = s.endpoints()
	}
	if s.bad || s.rest != "" || !isGood(p) {
		return nil
	}
	p.sort()
	return p
}

// scanHeader returns nil for a header that it does not take.
func scanHeader(text string) (st *State, want counts) {
	s := scanner{rest: text}
	st = &State{}
	s.literal("apiVersion: " + APIVersion + "\nkind: State\n")
	st.Node = s.name("node: ")
	st.Generation = s.whole(s.line("generation: "), 64)
	if s.optional("written: ") {
		st.Written = s.time(s.until("\n"))
	}
	st.Addresses = s.addresses()
	want.servicePorts = int(s.whole(s.line("servicePorts: "), 31))
	want.endpoints = -1
	if s.optional("endpoints: ") {
		want.endpoints = int(s.whole(s.until("\n"), 31))
	}
	if s.optional("nodes:\n") {
		st.Nodes = s.nodes()
	}
	good := !s.bad && s.rest == ""
	if good {
		checkHeader(st, func(string, string) { good = false })
	}
	if !good {
		return nil, counts{}
	}
	return st, want
}

// isGood is all checks of a ServicePort without their messages.
func isGood(p *ServicePort) bool {
	good := true
	r := func(string, string) { good = false }
	checkServicePort(p, r)
	checkEndpoints(p, r)
	return good
}

// scanner goes through a text. Once something is not in the form, bad is true and
// stays so.
type scanner struct {
	rest  string
	words words
	bad   bool
}

func (s *scanner) keep(v string) string { return s.words.keep(v) }

func (s *scanner) require(ok bool) { s.bad = s.bad || !ok }

func (s *scanner) literal(want string) { s.require(s.optional(want)) }

func (s *scanner) optional(want string) (ok bool) {
	s.rest, ok = strings.CutPrefix(s.rest, want)
	return ok
}

// line takes the rest of a line that begins with key.
func (s *scanner) line(key string) string {
	s.literal(key)
	return s.until("\n")
}

// name takes a line with a plain name.
func (s *scanner) name(key string) string {
	v := s.line(key)
	s.require(isPlainName(v))
	return v
}

// until takes the text before the next end, and the end.
func (s *scanner) until(end string) string {
	v, rest, ok := strings.Cut(s.rest, end)
	s.rest = rest
	s.require(ok)
	return v
}

func (s *scanner) endpoints() []Endpoint {
	eps := make([]Endpoint, 0, strings.Count(s.rest, "\n"))
	for s.rest != "" && !s.bad {
		eps = append(eps, s.endpoint())
	}
	s.require(len(eps) > 0)
	return eps
}

func (s *scanner) endpoint() (e Endpoint) {
	s.literal("- {address: ")
	e.Address = s.address(s.until(", "))
	s.literal("port: ")
	e.Port = uint16(s.whole(s.until(", "), 16))
	if s.optional("node: ") {
		e.Node = s.keep(s.until(", "))
		s.require(isPlainName(e.Node))
	}
	e.Weight = s.number("weight: ")
	s.literal("share: ")
	e.Share = s.decimal(s.until("}\n"))
	return e
}

func (s *scanner) held() (held []Hold) {
	if !s.optional("held: [") {
		return nil
	}
	for list := s.until("]\n"); list != "" && !s.bad; {
		var one string
		one, list, _ = strings.Cut(list, ", ")
		held = append(held, Hold(s.keep(one)))
		s.require(slices.Contains(holds(), Hold(one)))
	}
	s.require(len(held) > 0)
	return held
}

func (s *scanner) factors() []Factor {
	end := strings.Index(s.rest, "endpoints:\n") // of another endpoints: line there is none
	factors := make([]Factor, 0, strings.Count(s.rest[:max(end, 0)], "\n"))
	for strings.HasPrefix(s.rest, "- ") && !s.bad {
		factors = append(factors, s.factor())
	}
	s.require(len(factors) > 0)
	return factors
}

func (s *scanner) factor() (f Factor) {
	if s.optional("- {address: ") {
		f.Address = s.address(s.until(", "))
	} else {
		s.literal("- {node: ")
		f.Node = s.keep(s.until(", "))
		s.require(isPlainName(f.Node))
	}
	f.Base = s.number("base: ")
	f.Latency = s.number("latency: ")
	f.Trim = s.number("trim: ")
	f.Guard = s.number("guard: ")
	s.literal("target: ")
	f.Target = s.decimal(s.until(", "))
	s.literal("share: ")
	f.Share = s.decimal(s.until("}\n"))
	return f
}

// number takes a number that may be left out, and the comma after it.
func (s *scanner) number(key string) *float64 {
	if !s.optional(key) {
		return nil
	}
	v := s.decimal(s.until(", "))
	return &v
}

func (s *scanner) addresses() (all []netip.Addr) {
	s.literal("addresses: [")
	list := s.until("]\n")
	for list != "" && !s.bad {
		var one string
		one, list, _ = strings.Cut(list, ", ")
		all = append(all, s.address(one))
	}
	return all
}

func (s *scanner) nodes() []Node {
	nodes := make([]Node, 0, strings.Count(s.rest, "- name: "))
	for s.rest != "" && !s.bad {
		n := Node{Name: s.name("- name: "), Address: s.address(s.line("  address: "))}
		s.measurements(&n)
		nodes = append(nodes, n)
	}
	s.require(len(nodes) > 0)
	return nodes
}

func (s *scanner) measurements(n *Node) {
	if s.optional("  cores: ") {
		n.Cores = int(s.whole(s.until("\n"), 31))
		s.require(n.Cores > 0)
	}
	if s.optional("  latency: {seconds: ") {
		n.Latency = &Latency{}
		n.Latency.Seconds, n.Latency.Measured, n.Latency.Source = s.measure()
	}
	if s.optional("  cpu: {ratio: ") {
		n.CPU = &CPU{}
		n.CPU.Ratio, n.CPU.Measured, n.CPU.Source = s.measure()
	}
	if s.optional("  unreachable: ") {
		n.Unreachable = s.time(s.until("\n"))
	}
}

// measure takes the rest of a measurement after the key of its value.
func (s *scanner) measure() (v float64, measured time.Time, source string) {
	v = s.decimal(s.until(", measured: "))
	at, source, ok := strings.Cut(s.until("}\n"), ", source: ")
	s.require(!ok || isPlainName(source))
	return v, s.time(at), source
}

// address takes an address that is a plain scalar inside braces: no colon may
// begin or end it.
func (s *scanner) address(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	s.require(err == nil && isPlainAddress(text))
	return a
}

func isPlainAddress(text string) bool {
	return !strings.HasPrefix(text, ":") && !strings.HasSuffix(text, ":") && !strings.Contains(text, "%")
}

func (s *scanner) time(text string) (t time.Time) {
	s.require(t.UnmarshalText([]byte(text)) == nil)
	return t
}

// decimal takes digits with at most one point among them, and no needless zero
// in front.
func (s *scanner) decimal(text string) float64 {
	whole, fraction, _ := strings.Cut(text, ".")
	s.require(isWhole(whole) && areDigits(fraction))
	v, err := strconv.ParseFloat(text, 64)
	s.require(err == nil)
	return v
}

func (s *scanner) whole(text string, bits int) uint64 {
	v, err := strconv.ParseUint(text, 10, bits)
	s.require(err == nil && isWhole(text))
	return v
}

func isWhole(text string) bool {
	return text == "0" || text != "" && text[0] != '0' && areDigits(text)
}

func areDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}
