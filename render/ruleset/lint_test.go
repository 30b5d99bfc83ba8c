package ruleset

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// found gives the ids of what Parse and Lint find.
func found(text string) (ids, messages []string) {
	rs, err := Parse(text)
	if err != nil {
		return []string{"syntax"}, []string{err.Error()}
	}
	for _, f := range Lint(rs, Options{Table: "weft"}) {
		ids = append(ids, f.Rule)
		messages = append(messages, f.String())
	}
	return ids, messages
}

func TestLint(t *testing.T) {
	for _, c := range lintCases {
		t.Run(c.name, func(t *testing.T) {
			got, messages := found(c.text)
			if !slices.Equal(got, c.rules) {
				t.Errorf("findings %v, want %v, of\n%s%s", got, c.rules, c.text, strings.Join(messages, "\n"))
			}
		})
	}
}

func TestGoldensAreClean(t *testing.T) {
	for name, text := range goldens(t) {
		if strings.HasPrefix(name, "kube-proxy") {
			continue // not ours: see TestKubeProxy
		}
		if _, messages := found(text); len(messages) > 0 {
			t.Errorf("%s:\n%s", name, strings.Join(messages, "\n"))
		}
	}
}

func TestFindingsHaveTheirPlace(t *testing.T) {
	rs, err := Parse("table ip weft {\n\tchain a {\n\t\taccept\n\t\tip saddr { 10.0.0.1,\n\t\t\tlocalhost } accept\n\t}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	got := Lint(rs, Options{Table: "weft"})
	if len(got) != 1 || got[0].Line != 5 || got[0].Column != 4 {
		t.Errorf("findings %v, want one at 5:4", got)
	}
}

func TestRulesetMadeByHand(t *testing.T) {
	rs := &Ruleset{Tables: []*Table{{Family: "ip", Name: "weft", Chains: []*Chain{{Name: "a", Rules: []Rule{{Text: "jump b"}}}}}}}
	got := Lint(rs, Options{Table: "weft"})
	want := []Finding{{Line: 3, Column: 3, Rule: "undefined", Message: "jump to chain `b`, which this table does not define"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// kube-proxy's ruleset is right where kube-proxy is: what lint has against it
// is that it is not weft's.
func TestKubeProxy(t *testing.T) {
	got, messages := found(goldens(t)["kube-proxy"])
	want := []string{"foreign-table", "nat-priority", "nat-priority"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%s", d, strings.Join(messages, "\n"))
	}
}

// The replacement of a whole table is a transaction that weft writes, not text
// of a template.
func TestReplacementIsACommand(t *testing.T) {
	got, _ := found("table ip weft {\n}\ndelete table ip weft\n" + goldens(t)["facts"])
	if d := cmp.Diff([]string{"command"}, got); d != "" {
		t.Error(d)
	}
}
