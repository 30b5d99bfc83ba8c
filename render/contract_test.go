package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
	"weft/templates"
)

// TestFirstContract renders the sets as they were shipped first, which users have
// copies of, and compares the bytes with those that the weft of that time made of
// them. What comes out does its job, too.
func TestFirstContract(t *testing.T) {
	for _, name := range []string{"simplified", "cascade"} {
		for _, states := range []string{"three-endpoints", "dual-stack"} {
			t.Run(name+"-"+states, func(t *testing.T) {
				set := load(t, "./testdata/contract-1/"+name)
				if set.Contract != 1 || len(set.Ahead()) > 0 {
					t.Errorf("contract %d, ahead of it %v, want 1 and nothing", set.Contract, set.Ahead())
				}
				vars := with(t, set, nil)
				desired, err := apply.Desire(t.Context(), set, example(t, "states/"+states+".yaml"), vars)
				if err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(filepath.Join("testdata/contract-1", name+"-"+states+".nft"))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), desired.Text()); diff != "" {
					t.Errorf("-then +now:\n%s", diff)
				}
				labtest.RequireKernel(t)
				if err := desired.Rehearse(t.Context(), nft.Runner{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func parsed(main, service string) (*render.Set, error) {
	return render.Parse("mine", []templates.File{
		{Name: "mine/" + templates.Main, Text: main}, {Name: "mine/_service.nft.tmpl", Text: `{{ define "service" }}` + service + `{{ end }}`},
	}, nil)
}

func TestContract(t *testing.T) {
	tests := []struct {
		name, main, service string
		contract            int
		ahead               string
		err                 string
	}{
		{"none named", "x", "", 1, "", ""},
		{"this one", "{{- /* contract: 3 */ -}}\nx", "", 3, "", ""},
		{"with words and no spaces", "{{/*contract: 2, for the lab*/}}", "", 2, "", ""},
		{"on a later line", "{{/* Ours. */}}\n{{/* contract: 1 */}}", "", 1, "", ""},
		{"in a text, not a comment", "# contract: 9", "", 1, "", ""},
		{
			"newer, with what is not known here", "{{/* Ours. */}}\n{{- /* contract: 4 */ -}}\n{{ fetch . }}", "", 0, "",
			"mine/ruleset.nft.tmpl:2: the set is written for contract 4, and this weft has contract 3: it needs a newer weft",
		},
		{"no number", "{{/* contract: two */}}", "", 0, "", `mine/ruleset.nft.tmpl:1: contract: got "two", expected a whole number from 1 to 3`},
		{"nothing", "{{/* contract: */}}", "", 0, "", `contract: got "", expected a whole number`},
		{"too small", "{{/* contract: 0 */}}", "", 0, "", `contract: got "0", expected a whole number`},
		{"larger than any number", "{{/* contract: 99999999999999999999 */}}", "", 0, "", "contract: got "},
		{"ahead", "{{/* contract: 1 */}}", `{{ range branches (modulus .) . }}{{ if true }}{{ printf "%s" (draw 2 $) }}{{ draw 3 $ }}{{ end }}{{ end }}`, 1, "branches (contract 2), draw (contract 2)", ""},
		{"ahead by one", "{{/* contract: 2 */}}", `{{ portRange 8 . }}{{ draw 2 . }}`, 2, "portRange (contract 3)", ""},
		{"not ahead", "{{/* contract: 2 */}}", `{{ draw 2 . }}`, 2, "", ""},
		{"of an older contract", "{{/* contract: 1 */}}", "\n{{ randInt 1 2 }}", 0, "", `mine/_service.nft.tmpl:2: function "randInt" not defined: gone since contract 2: it gave other bytes each time`},
		{"of no contract", "", "{{ nope }}", 0, "", `function "nope" not defined`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := parsed(tt.main, tt.service)
			if err != nil || tt.err != "" {
				if err == nil || tt.err == "" || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if got := strings.Join(set.Ahead(), ", "); set.Contract != tt.contract || got != tt.ahead {
				t.Errorf("contract %d, ahead %q, want %d, %q", set.Contract, got, tt.contract, tt.ahead)
			}
		})
	}
}

// TestShippedContract keeps the shipped sets, and the copies of them among the
// examples, at the present contract.
func TestShippedContract(t *testing.T) {
	for _, name := range []string{
		"auto", "simplified", "cascade", "../examples/templates/direct", "../examples/templates/sticky", "../examples/templates/uniform",
		"../examples/kubernetes/components/templates",
	} {
		set := load(t, name)
		if set.Contract != render.Contract || len(set.Ahead()) > 0 {
			t.Errorf("%s: contract %d, ahead %v, want %d and nothing", name, set.Contract, set.Ahead(), render.Contract)
		}
	}
}

// TestSince holds that each contract says what it brought, so that nobody raises
// the number without a word.
func TestSince(t *testing.T) {
	for contract := 1; contract < render.Contract; contract++ {
		if list := render.Since(contract); len(list) == 0 || list[0].Contract != contract+1 {
			t.Errorf("what contract %d brought: got %v", contract+1, list)
		}
	}
	if list := render.Since(render.Contract); len(list) > 0 {
		t.Errorf("since the present contract: got %v", list)
	}
}
