package ruleset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Rules that a chain of a ServicePort may have: the first are right.
var serviceRules = []string{
	"meta l4proto tcp dnat to 10.0.0.1:80",
	"numgen random mod 10 < 5 meta l4proto tcp dnat to 10.0.0.1:80\n\t\tmeta l4proto tcp dnat to 10.0.0.2:80",
	"meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 80 }",
	"ip saddr @known accept",
	"jump shared",
	"meta l4proto tcp dnat ip to numgen random mod 3 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 80 }",
	"drop",
	"jump svc-9",
	"ip saddr @unknown accept",
	"accept comment \"<no value>\"",
	"ip saddr localhost accept",
	"tcp dport vmap @ports",
}

// steered is a ruleset as a template writes it.
type steered struct {
	services map[int]int // numbers to rules
	missing  int         // a ServicePort without a chain
	entry    string
	shared   string
	known    []string
	bare     int // a ServicePort whose rules do not look at the port
}

// chainOf is the chain of a ServicePort: the last ones share theirs.
func chainOf(n int) string {
	if n > 6 {
		return "group"
	}
	return fmt.Sprintf("svc-%d", n)
}

// chain is what a ServicePort adds to its chain.
func (s *steered) chain(n int) string {
	rules := serviceRules[s.services[n]]
	if n > 6 && n != s.bare {
		match := fmt.Sprintf("th dport %d ", 30000+n)
		rules = match + strings.ReplaceAll(rules, "\n\t\t", "\n\t\t"+match)
	}
	return fmt.Sprintf("\tchain %s {\n\t\t%s\n\t}\n", chainOf(n), rules)
}

func (s *steered) parts() []string {
	var ports, chains []string
	for n := range 10 {
		if _, ok := s.services[n]; !ok {
			continue
		}
		ports = append(ports, fmt.Sprintf("\t\t\ttcp . %d comment \"ns/service-%d\" : goto %s,\n", 30000+n, n, chainOf(n)))
		if n != s.missing {
			chains = append(chains, s.chain(n))
		}
	}
	parts := []string{"table ip weft {\n\tset ips {\n\t\ttype ipv4_addr\n\t\telements = { 10.1.0.1 }\n\t}\n"}
	if len(s.known) > 0 {
		parts = append(parts, "\tset known {\n\t\ttype ipv4_addr\n\t\telements = {"+strings.Join(s.known, ",")+" }\n\t}\n")
	} else {
		parts = append(parts, "\tset known {\n\t\ttype ipv4_addr\n\t}\n")
	}
	if len(ports) > 0 {
		parts = append(parts, "\tmap ports {\n\t\ttype inet_proto . inet_service : verdict\n\t\telements = {\n")
		parts = append(append(parts, ports...), "\t\t}\n\t}\n")
	} else {
		parts = append(parts, "\tmap ports {\n\t\ttype inet_proto . inet_service : verdict\n\t}\n")
	}
	parts = append(parts, "\tchain prerouting {\n\t\ttype nat hook prerouting priority -150; policy accept;\n\t\tjump services\n\t}\n", "\tchain services {\n\t\t"+s.entry+"\n\t}\n")
	parts = append(parts, chains...)
	return append(parts, "\tchain shared {\n\t\t"+s.shared+"\n\t}\n", "}\n")
}

func drawSteered(t *rapid.T) *steered {
	s := &steered{services: map[int]int{}, missing: -1, bare: -1}
	for n := range 10 {
		s.services[n] = rapid.IntRange(0, 4).Draw(t, "rules")
	}
	s.entry, s.shared, s.known = entries[0], "counter", []string{" 10.2.0.1"}
	return s
}

var entries = []string{"ip daddr @ips meta l4proto . th dport vmap @ports", "meta l4proto . th dport vmap @ports", "ip daddr @ips jump shared"}

func (s *steered) edit(t *rapid.T) {
	n := rapid.IntRange(0, 9).Draw(t, "service")
	switch rapid.IntRange(0, 11).Draw(t, "edit") {
	case 10:
		s.bare = n
	case 11:
		s.bare = -1
	case 0, 1, 2:
		s.services[n] = rapid.IntRange(0, 4).Draw(t, "rules")
	case 3:
		s.services[n] = rapid.IntRange(0, len(serviceRules)-1).Draw(t, "any rules")
	case 4:
		delete(s.services, n)
	case 5:
		s.missing = n
	case 6:
		s.missing = -1
	case 7:
		s.entry = rapid.SampledFrom(entries).Draw(t, "entry")
	case 8:
		s.shared = rapid.SampledFrom([]string{"counter", "meta l4proto tcp dnat to 10.0.0.1:80", "drop", "jump services"}).Draw(t, "shared")
	case 9:
		s.known = rapid.SliceOfN(rapid.SampledFrom([]string{" 10.2.0.1", " 10.2.0.2", " host", " 10.2.0.3 # %!d\n\t\t"}), 0, 3).Draw(t, "known")
	}
}

// TestLinterForgetsNothing: with whatever memory, a ruleset is judged as if it
// were the first.
func TestLinterForgetsNothing(t *testing.T) {
	remembered, judged := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var p Parser
		var l Linter
		s := drawSteered(t)
		var before *Ruleset
		for range rapid.IntRange(1, 12).Draw(t, "texts") {
			parts := s.parts()
			want := Lint(must(Parse(strings.Join(parts, ""))), Options{Table: "weft"})
			rs := must(p.Parse(parts))
			if before != nil && l.last == before && rs != before {
				judged++
			}
			linter := l.linter
			got := l.Lint(rs, Options{Table: "weft"})
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("%s\n%s", d, strings.Join(parts, ""))
			}
			if linter != nil && linter == l.linter && l.last == rs && rs != before {
				remembered++
			}
			before = rs
			s.edit(t)
		}
	})
	if remembered < judged/2 {
		t.Errorf("remembered %d of %d", remembered, judged)
	}
	t.Log("remembered", remembered, "of", judged)
}

func must(rs *Ruleset, err error) *Ruleset {
	if err != nil {
		panic(err)
	}
	return rs
}

// TestFollow: each of the new list is found where it was.
func TestFollow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := make([]*int, 60)
		for i := range pool {
			pool[i] = new(int)
		}
		some := func() []*int {
			var list []*int
			for _, p := range pool {
				if chance(t, 80) {
					list = append(list, p)
				}
			}
			return list
		}
		old, new := some(), some()
		for j, i := range follow(old, new) {
			if i >= 0 && old[i] != new[j] || i < 0 && slices.Contains(old, new[j]) {
				t.Fatalf("%d was at %d", j, i)
			}
		}
	})
}
