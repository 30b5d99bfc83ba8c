package ruleset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse: no text makes Parse or Lint panic, and what Parse accepts it reads
// again, equal, from what it prints.
func FuzzParse(f *testing.F) {
	for _, text := range goldens(f) {
		f.Add(text)
	}
	for _, c := range lintCases {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rs, err := Parse(text)
		Lint(rs, Options{Table: "weft"})
		if err != nil {
			return
		}
		printed := rs.String()
		again, err := Parse(printed)
		if err != nil {
			t.Fatalf("%v\nprinted %q", err, printed)
		}
		if d := cmp.Diff(rs, again, sameText); d != "" {
			t.Fatalf("%s\nprinted %q", d, printed)
		}
	})
}
