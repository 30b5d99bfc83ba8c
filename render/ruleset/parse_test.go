package ruleset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sameText compares rulesets without the places where they were read.
var sameText = cmp.Options{
	cmpopts.IgnoreUnexported(Ruleset{}, Table{}, Statement{}, Chain{}, Base{}, Rule{}, Set{}, Element{}, Object{}),
	cmpopts.IgnoreFields(Table{}, "Line"), cmpopts.IgnoreFields(Statement{}, "Line"), cmpopts.IgnoreFields(Chain{}, "Line"),
	cmpopts.IgnoreFields(Rule{}, "Line"), cmpopts.IgnoreFields(Set{}, "Line"), cmpopts.IgnoreFields(Element{}, "Line"),
	cmpopts.IgnoreFields(Object{}, "Line"), cmpopts.IgnoreFields(Base{}, "PriorityText"), cmpopts.EquateEmpty(),
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
