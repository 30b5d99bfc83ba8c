package ruleset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// places tells where everything stands, and fails where it does not.
func places(t rapid.TB, rs *Ruleset) []string {
	text := rs.text()
	var list []string
	place := func(at int, what string) {
		if !strings.HasPrefix(text[at:], what) {
			t.Fatalf("at %d: want %q, is %.20q", at, what, text[at:])
		}
		list = append(list, fmt.Sprint(at, " ", what))
	}
	for i, it := range rs.items.members {
		at := rs.items.start(i)
		switch c := it.content.(type) {
		case *Statement:
			place(at+it.at, c.Text[:1])
		case *Table:
			place(at+c.at, "table")
			c.each(at, func(it *item, at int) {
				switch c := it.content.(type) {
				case *Statement:
					place(at+it.at, c.Text[:1])
				case *Object:
					place(at+c.at, c.Kind[:2])
				case *Chain:
					place(at+c.at, "chain")
					for _, r := range c.Rules {
						place(at+r.at, c.text[r.at:r.end])
					}
				case *Set:
					place(at+c.body.at, map[bool]string{true: "map", false: "set"}[c.Map])
					placedSet{c, at}.each(func(e *Element, at int) { place(at+e.at, e.tile[e.at:e.end]) })
				}
			})
		}
	}
	if n := rs.items.length(); n != len(text) {
		t.Fatalf("the items tile %d of %d bytes", n, len(text))
	}
	return list
}

// pieces are what random texts are made of: whole blocks and broken ones.
var pieces = []string{
	"table ip weft {\n", "}\n", "table ip6 weft {\n\tchain a {\n\t}\n}\n", "\tcomment \"of a table\"\n", "\tflags dormant\n",
	"\tchain a {\n\t\tjump b\n\t\tip saddr 10.0.0.1 accept\n\t}\n", "\tchain b {\n", "\t\ttcp dport { 80, 443 } accept\n", "\t}\n",
	"\tchain p { type nat hook prerouting priority -150; policy accept;\n\t\tjump a\n\t}\n",
	"\tset s {\n\t\ttype ipv4_addr\n\t\telements = {\n", "\t\t\t10.0.0.1,\n", "\t\t\t10.0.0.2 timeout 60s comment \"x, }\",\n", " 10.0.0.3", ",", "\t\t}\n\t}\n",
	"\tmap m { type inet_service : verdict\n\t\telements = { 80 : goto a,", " 81 : goto b, ", " 82 : accept }\n\t\telements = { 83 : drop }\n\t}\n",
	"\tcounter hits { packets 1 bytes 2; }\n", "\tset empty {\n\t\ttype ipv4_addr\n\t}\n",
	"# a comment\n", "# no end", "\n", "  ", ";", "\\\n", "\"", "{", "}", "include \"x\"\n", "\x00", "comment", "elements = { 1 }\n",
}

// drawParts draws a text in parts, more often a good one than not.
func drawParts(t *rapid.T) []string {
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		return rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 20).Draw(t, "pieces")
	case 1:
		return drawList(t)
	}
	text := drawTable(t, "ip", nil).String()
	var parts []string
	for len(text) > 0 {
		n := rapid.IntRange(1, min(len(text), 200)).Draw(t, "part")
		parts, text = append(parts, text[:n]), text[n:]
	}
	return parts
}

// drawList draws a set whose elements and separators are parts of their own.
func drawList(t *rapid.T) []string {
	parts := []string{"table ip weft {\n", "\tcomment \"x\"\n", "\tset s {\n\t\ttype inet_service\n\t\telements = {"}
	for i := range rapid.IntRange(1, 6).Draw(t, "elements") {
		separator := rapid.SampledFrom([]string{",", ",", ", # x\n", ",\n", "\n", " ", "}\n\t\telements = { "}).Draw(t, "separator")
		parts = append(parts, fmt.Sprint(" ", i), separator)
	}
	if rapid.Bool().Draw(t, "bare") {
		parts = parts[:len(parts)-1]
	}
	return append(parts, " }\n\t}\n", "\tchain a {\n\t}\n", "}\n")
}

// edit changes parts at a few places.
func edit(t *rapid.T, parts []string) []string {
	parts = slices.Clone(parts)
	for range rapid.IntRange(0, 3).Draw(t, "edits") {
		i := rapid.IntRange(0, len(parts)).Draw(t, "at")
		switch rapid.IntRange(0, 4).Draw(t, "edit") {
		case 0:
			parts = slices.Insert(parts, i, rapid.SampledFrom(pieces).Draw(t, "piece"))
		case 1:
			parts = slices.Delete(parts, min(i, max(len(parts)-1, 0)), min(i+1, len(parts)))
		case 2:
			if i < len(parts) {
				parts[i] = strings.NewReplacer("1", "2", "2", "3", "a", "b").Replace(parts[i])
			}
		case 3:
			if i < len(parts) && len(parts[i]) > 0 {
				n := rapid.IntRange(0, len(parts[i])).Draw(t, "cut")
				parts = slices.Insert(parts, i, parts[i][:n])
				parts[i+1] = parts[i+1][n:]
			}
		case 4:
			if i < len(parts) {
				parts = slices.Insert(parts, i, parts[i])
			}
		}
	}
	return parts
}

// TestParserForgetsNothing: with whatever memory, a text is parsed as if it
// were the first.
func TestParserForgetsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Parser
		parts := drawParts(t)
		for range rapid.IntRange(1, 6).Draw(t, "texts") {
			text := strings.Join(parts, "")
			want, wantErr := Parse(text)
			got, err := p.Parse(parts)
			if fmt.Sprint(wantErr) != fmt.Sprint(err) {
				t.Fatalf("%q: %v, want %v", text, err, wantErr)
			}
			if d := gocmp.Diff(want, got, sameText); d != "" {
				t.Fatalf("%q: %s", text, d)
			}
			if d := gocmp.Diff(Lint(want, Options{}), Lint(got, Options{})); d != "" {
				t.Fatalf("%q: %s", text, d)
			}
			if err == nil {
				if d := gocmp.Diff(places(t, want), places(t, got)); d != "" {
					t.Fatalf("%q: %s", text, d)
				}
			}
			parts = edit(t, parts)
		}
	})
}

// TestParserJoinsNoParts checks that what is parsed anew stays in the memory of its
// part, also where parts beside each other changed.
func TestParserJoinsNoParts(t *testing.T) {
	chain := func(name, rule string) string { return "\tchain " + name + " {\n\t\t" + rule + "\n\t}\n" }
	var p Parser
	for _, rule := range []string{"accept", "drop"} {
		parts := []string{"table ip weft {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n", chain("a", rule), chain("b", rule), chain("c", rule), "}\n"}
		rs, err := p.Parse(parts)
		if err != nil {
			t.Fatal(err)
		}
		table, ok := rs.items.members[0].content.(*Table)
		if !ok || len(table.members.members) < 3 {
			t.Fatalf("parsed as %v", rs)
		}
		for _, it := range table.members.members {
			at := func(part string) bool { return unsafe.StringData(part) == unsafe.StringData(it.text) }
			if _, isChain := it.content.(*Chain); isChain && !slices.ContainsFunc(parts, at) {
				t.Errorf("%q is in memory of its own", it.text)
			}
		}
	}
}

// TestParserSeesWhatFollows: a table of which a part changed is taken apart again if
// something else stands on the line of its brace now.
func TestParserSeesWhatFollows(t *testing.T) {
	var p Parser
	must(p.Parse([]string{"table ip weft {\n\tchain a {\n\t\taccept\n\t}\n", "\tchain b {\n\t}\n", "\tchain last {\n\t}\n}"}))
	parts := []string{"table ip weft {\n\tchain a {\n\t\taccept\n\t}\n", "\tchain c {\n\t}\n", "\tchain last {\n\t}\n}", " 10.0.0.1,\n"}
	got, _ := p.Parse(parts) // what could be read is judged
	want, _ := Parse(strings.Join(parts, ""))
	if d := gocmp.Diff(Lint(want, Options{}), Lint(got, Options{})); d != "" {
		t.Error(d)
	}
}
