package ruleset

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shared is a table in which two ServicePorts have one chain.
func shared(first, second string) []string {
	return []string{
		"table ip weft {\n",
		"\tchain nodeports-0-7 {\n\t\t" + first + "\n\t}\n",
		"\tchain other {\n\t\taccept\n\t}\n",
		"\tchain nodeports-0-7 {\n\t\t" + second + "\n\t}\n",
		"}\n",
	}
}

// TestBlocks: a rule that changes takes all blocks of its chain along, and each line of
// the transaction still knows the one that it was made of.
func TestBlocks(t *testing.T) {
	var p Parser
	old := must(p.Parse(shared("th dport 1 accept", "th dport 2 drop")))
	new := must(p.Parse(shared("th dport 1 accept\n\t\tth dport 1 drop", "th dport 2 drop")))
	if old.Tables[0].Chains[2] != new.Tables[0].Chains[2] {
		t.Error("the block that stayed was parsed again")
	}
	tx := Diff(old, new)
	want := "flush chain ip weft nodeports-0-7\n" +
		"table ip weft {\n\tchain nodeports-0-7 {\n\t\tth dport 1 accept\n\t\tth dport 1 drop\n\t\tth dport 2 drop\n\t}\n}\n"
	if d := cmp.Diff(want, tx.Text()); d != "" {
		t.Error(d)
	}
	source := strings.Split(new.text(), "\n")
	for i, line := range strings.Split(tx.Text(), "\n") {
		n := tx.Source(i + 1)
		if strings.HasPrefix(line, "\t\t") && (n == 0 || source[n-1] != line) {
			t.Errorf("%q is of line %d", line, n)
		}
	}
}

// TestBlocksEdited: what somebody changed in a chain of two blocks is put right whole.
func TestBlocksEdited(t *testing.T) {
	rs := must(Parse(strings.Join(shared("th dport 1 accept", "th dport 2 drop"), "")))
	for name, e := range map[string]Edit{
		"other rules": {Family: "ip", Table: "weft", Chain: "nodeports-0-7"},
		"gone":        {Family: "ip", Table: "weft", Chain: "nodeports-0-7", Gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			want := "table ip weft {\n\tchain nodeports-0-7 {\n\t\tth dport 1 accept\n\t\tth dport 2 drop\n\t}\n}\n"
			if !e.Gone {
				want = "flush chain ip weft nodeports-0-7\n" + want
			}
			if d := cmp.Diff(want, Diff(rs.Edited([]Edit{e}), rs).Text()); d != "" {
				t.Error(d)
			}
		})
	}
}
