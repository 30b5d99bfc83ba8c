package ruleset

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/go-multierror"
)

// sameText compares rulesets without the places where they were read.
var sameText = cmp.Options{
	cmpopts.IgnoreUnexported(Ruleset{}, Table{}, Statement{}, Chain{}, Base{}, Rule{}, Set{}, Element{}, Object{}),
	cmpopts.IgnoreFields(Base{}, "PriorityText"), cmpopts.EquateEmpty(),
}

// goldens are the rulesets that nft takes and lint has nothing against.
func goldens(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.nft")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	texts := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimSuffix(filepath.Base(f), ".nft")] = string(b)
	}
	return texts
}

func TestGoldensParseAndPrintTheSame(t *testing.T) {
	for name, text := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			first, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(first.String())
			if err != nil {
				t.Fatalf("%v in\n%s", err, first)
			}
			if d := cmp.Diff(first, again, sameText); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseKeepsBlocks(t *testing.T) {
	got, err := Parse(`# a comment
table inet weft { # ours
	comment "one"; flags dormant
	counter hits { packets 1 bytes 2; }
	set ips {
		type ipv4_addr; flags interval,timeout
		timeout 1h; gc-interval 10s; size 100; policy memory
		auto-merge
		counter
		comment "two # three"
		elements = { 10.0.0.1 timeout 60s expires 20s comment "a, b",
			10.1.0.0/16 } # more
		elements = { 10.2.0.1-10.2.0.9 }
	}
	map m {
		typeof numgen random mod 4 : ip daddr . tcp dport
		elements = { 0-2 counter packets 1 bytes 2 : 10.0.0.1 . 80, 3 : 10.0.0.2   .	81, }
	}
	chain a {
		comment "four"
		type filter hook ingress device "lo" priority filter + 5; policy drop
		tcp dport { 80, # web
			443 } \
			accept; drop
	}
	include "x"
}
flush ruleset
`)
	if err != nil {
		t.Fatal(err)
	}
	want := &Ruleset{
		Tables: []*Table{{
			Family: "inet", Name: "weft", Comment: "one", Flags: []string{"dormant"},
			Objects: []*Object{{Kind: "counter", Name: "hits", Body: []string{"packets 1 bytes 2"}}},
			Sets: []*Set{{
				Name: "ips", Key: "ipv4_addr", Flags: []string{"interval", "timeout"}, Timeout: "1h", GCInterval: "10s",
				Size: "100", Policy: "memory", AutoMerge: true, Comment: "two # three", Stateful: []string{"counter"},
				Elements: []*Element{
					{Key: "10.0.0.1", Timeout: "60s", Expires: "20s", Comment: "a, b", Text: `10.0.0.1 timeout 60s expires 20s comment "a, b"`},
					{Key: "10.1.0.0/16", Text: "10.1.0.0/16"},
					{Key: "10.2.0.1-10.2.0.9", Text: "10.2.0.1-10.2.0.9"},
				},
			}, {
				Name: "m", Map: true, Typeof: true, Key: "numgen random mod 4", Data: "ip daddr . tcp dport",
				Elements: []*Element{
					{Key: "0-2", State: "counter packets 1 bytes 2", Value: "10.0.0.1 . 80", Text: "0-2 counter packets 1 bytes 2 : 10.0.0.1 . 80"},
					{Key: "3", Value: "10.0.0.2 . 81", Text: "3 : 10.0.0.2 . 81"},
				},
			}},
			Chains: []*Chain{{
				Name: "a", Comment: "four", Base: &Base{Type: "filter", Hook: "ingress", Devices: []string{"lo"}, Priority: 5, Policy: "drop"},
				Rules: []Rule{{Text: "tcp dport { 80, 443 } accept"}, {Text: "drop"}},
			}},
			Others: []*Statement{{Text: `include "x"`}},
		}},
		Others: []*Statement{{Text: "flush ruleset"}},
	}
	if d := cmp.Diff(want, got, sameText); d != "" {
		t.Error(d)
	}
}

func TestParseReportsAllErrors(t *testing.T) {
	_, err := Parse("table ip weft {\n\tset s {\n\t\tcolour red\n\t}\n\tchain a\n\tset t {\n\t\telements { 80 }\n\t}\n")
	var all *multierror.Error
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all.Errors {
		got = append(got, e.Error())
	}
	want := []string{
		"line 3, column 3: expected a line of a set, as `type`, `flags`, `elements`, not `colour`",
		"line 5, column 9: expected '{' behind the name of the chain a",
		"line 7, column 12: expected '=' behind elements",
		"line 1, column 1: the '{' of this table is never closed",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLexer(t *testing.T) {
	for text, want := range map[string]string{
		"10.42.4.201:8080":    "10.42.4.201|:|8080",
		"0-49 : 10.0.0.1":     "0|-|49|:|10.0.0.1",
		"[fd42:1::10]:80":     "[|fd42:1::10|]|:|80",
		"::1":                 "::1",
		"fe80::/10":           "fe80::|/|10",
		"tcp . 30000":         "tcp|.|30000",
		"1h30m 60s 10ms 5":    "1h30m|60s|10ms|5",
		"10/second":           "10|/|second",
		"svc-A/b.c_d/":        "svc-A/b.c_d/",
		"filter-10 filter -1": "filter-10|filter|-|1",
		"0xdeadbeef != >=<<":  "0xdeadbeef|!=|>=|<<",
		"0:accept":            "0:ac|cept", // as nft's scanner has it
		"02:42:ac:11:00:02":   "02:42:ac:11:00:02",
		`lo* "a#;b" # c`:      `lo*|"a#;b"`,
		"a\\\nb":              "a|b",
	} {
		lex := lexer{text: text}
		var got []string
		for tok := lex.next(); tok.kind != endOfText; tok = lex.next() {
			got = append(got, tok.text)
		}
		if d := cmp.Diff(want, strings.Join(got, "|")); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestPriority(t *testing.T) {
	for _, c := range []struct {
		family, hook, text string
		want               int
		ok                 bool
	}{
		{"ip", "prerouting", "-150", -150, true},
		{"ip", "prerouting", "- 150", -150, true},
		{"ip", "prerouting", "mangle", -150, true},
		{"inet", "prerouting", "dstnat - 10", -110, true},
		{"ip6", "postrouting", "srcnat", 100, true},
		{"ip", "input", "filter+10", 10, true},
		{"ip", "input", "security", 50, true},
		{"ip", "input", "raw", -300, true},
		{"bridge", "prerouting", "dstnat", -300, true},
		{"bridge", "input", "filter", -200, true},
		{"netdev", "ingress", "filter", 0, true},
		{"ip", "output", "dstnat", 0, false},
		{"ip", "prerouting", "srcnat", 0, false},
		{"ip", "input", "filter-10", 0, false},
		{"ip", "input", "+10", 0, false},
		{"ip", "input", "soon", 0, false},
		{"netdev", "ingress", "mangle", 0, false},
		{"ip", "input", "10 + 10", 0, false},
		{"ip", "input", "", 0, false},
	} {
		if got, ok := Priority(c.family, c.hook, c.text); ok != c.ok || ok && got != c.want {
			t.Errorf("Priority(%q, %q, %q) = %d, %v, want %d, %v", c.family, c.hook, c.text, got, ok, c.want, c.ok)
		}
	}
}
