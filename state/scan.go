package state

import (
	"net/netip"
	"strconv"
	"strings"
)

// This file reads ServicePort documents in exactly the form that the Encoder
// writes, about fifty times as fast as yaml.v3: a cluster that has used up its
// NodePort range has 27,680 endpoints in its state. Whatever does not look like
// that form, or fails a check, is not an error here but is left to the strict
// reader; a differential fuzz test proves that what is taken here means the same
// there. Nothing is copied: the ServicePort's strings are parts of the text.

// scanServicePort returns nil for a document that it does not take.
func scanServicePort(text string) *ServicePort {
	s := scanner{rest: text}
	p := &ServicePort{}
	s.literal("kind: ServicePort\n")
	p.Namespace = s.name("namespace: ")
	p.Name = s.name("name: ")
	if s.rest, s.skip = strings.CutPrefix(s.rest, "port: \"\"\n"); !s.skip {
		p.Port = s.name("port: ")
	}
	p.Protocol = Protocol(s.field("protocol: "))
	p.NodePort = uint16(number(&s, s.field("nodePort: "), 5))
	if strings.HasPrefix(s.rest, "skipped: ") {
		p.Skipped = s.field("skipped: ")
		s.bad = s.bad || !isPlain(p.Skipped)
	}
	if strings.HasPrefix(s.rest, "endpoints:\n") {
		s.literal("endpoints:\n")
		p.Endpoints = s.endpoints()
	}
	if s.bad || s.rest != "" || !isGood(p) {
		return nil
	}
	p.sort()
	return p
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
	rest string
	skip bool
	bad  bool
}

func (s *scanner) literal(want string) {
	rest, ok := strings.CutPrefix(s.rest, want)
	s.rest, s.bad = rest, s.bad || !ok
}

// field takes the rest of a line that begins with key.
func (s *scanner) field(key string) string {
	s.literal(key)
	return s.until("\n")
}

// name takes a line with a plain name.
func (s *scanner) name(key string) string {
	v := s.field(key)
	s.bad = s.bad || !isPlainName(v)
	return v
}

// until takes the text before the next end, and the end.
func (s *scanner) until(end string) string {
	v, rest, ok := strings.Cut(s.rest, end)
	s.rest, s.bad = rest, s.bad || !ok
	return v
}

func (s *scanner) endpoints() []Endpoint {
	eps := make([]Endpoint, 0, strings.Count(s.rest, "\n"))
	for s.rest != "" && !s.bad {
		eps = append(eps, s.endpoint())
	}
	s.bad = s.bad || len(eps) == 0
	return eps
}

func (s *scanner) endpoint() (e Endpoint) {
	s.literal("- {address: ")
	e.Address = s.address(s.until(", "))
	s.literal("port: ")
	e.Port = uint16(number(s, s.until(", "), 5))
	if strings.HasPrefix(s.rest, "node: ") {
		s.literal("node: ")
		e.Node = s.until(", ")
		s.bad = s.bad || !isPlainName(e.Node)
	}
	s.literal("share: ")
	e.Share = s.decimal(s.until("}\n"))
	return e
}

// address takes an address that is a plain scalar inside braces: no colon may
// begin or end it.
func (s *scanner) address(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	s.bad = s.bad || err != nil || !isPlainAddress(text)
	return a
}

func isPlainAddress(text string) bool {
	return !strings.HasPrefix(text, ":") && !strings.HasSuffix(text, ":") && !strings.Contains(text, "%")
}

// decimal takes digits with at most one point, which stands after one digit.
func (s *scanner) decimal(text string) float64 {
	if len(text) == 0 || !isDigit(text[0]) || len(text) > 1 && (text[1] != '.' || !areDigits(text[2:])) {
		s.bad = true
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	s.bad = s.bad || err != nil
	return v
}

// number takes a whole number below 65536.
func number(s *scanner, text string, digits int) int {
	if len(text) == 0 || len(text) > digits || !areDigits(text) || text[0] == '0' {
		s.bad = true
		return 0
	}
	v, err := strconv.Atoi(text)
	s.bad = s.bad || err != nil || v > 65535
	return v
}

func areDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}
