package render_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/nft"
	"weft/render/ruleset"
	"weft/state"
	"weft/templates"
)

var update = flag.Bool("update", false, "write the goldens anew")

func load(t testing.TB, name string) *render.Set {
	t.Helper()
	set, err := render.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func example(t testing.TB, path string) *state.State {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../examples", path))
	if err != nil {
		t.Fatal(err)
	}
	st, err := state.Decode(path, data)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func with(t testing.TB, set *render.Set, over render.Vars) render.Vars {
	t.Helper()
	vars, err := render.DefaultVars().With(over, set.Declared)
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

// TestGolden renders every set for the example states, and loads each golden
// into a kernel.
func TestGolden(t *testing.T) {
	remote := render.Vars{"masquerade": "remote"}
	none := render.Vars{"masquerade": "none", "heartbeat": "0"}
	hash := render.Vars{"affinity": "hash", "affinitySeed": 48879}
	tests := []struct {
		golden, set, state string
		over               render.Vars
	}{
		{"simplified", "simplified", "states/three-endpoints.yaml", nil},
		{"simplified-dual-stack", "simplified", "states/dual-stack.yaml", remote},
		{"cascade", "cascade", "states/three-endpoints.yaml", nil},
		{"cascade-dual-stack", "cascade", "states/dual-stack.yaml", none},
		{"simplified-affinity", "simplified", "states/many-endpoints.yaml", hash},
		{"cascade-many", "cascade", "states/many-endpoints.yaml", render.Vars{"masquerade": "none"}},
		{"cascade-affinity", "cascade", "states/many-endpoints.yaml", hash},
		{"direct", "../examples/templates/direct", "states/dual-stack.yaml", nil},
		{"uniform", "../examples/templates/uniform", "states/three-endpoints.yaml", nil},
		{"sticky", "../examples/templates/sticky", "states/dual-stack.yaml", render.Vars{"modulus": 1000}},
		{"../../examples/seed/golden", "simplified", "seed/state.yaml", render.Vars{"table": "mirzaganteng", "chainName": "wes-mrunuo-{name}", "heartbeat": "0"}},
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			set := load(t, tt.set)
			result, err := render.Render(t.Context(), set, example(t, tt.state), with(t, set, tt.over))
			if err != nil {
				t.Fatal(err)
			}
			for _, left := range result.LeftOut {
				if left.ServicePort.Affinity == "" || tt.over["affinity"] == "hash" {
					t.Errorf("left out: %v", left.Err)
				}
			}
			path := filepath.Join("testdata", tt.golden+".nft")
			if *update {
				if err := os.WriteFile(path, []byte(result.Text()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), result.Text()); diff != "" {
				t.Errorf("-golden +rendered:\n%s", diff)
			}
			if findings := lint(t, result.Text(), with(t, set, tt.over)); len(findings) > 0 {
				t.Errorf("lint: %v", findings)
			}
			loads(t, result.Text())
		})
	}
}

func lint(t *testing.T, text string, vars render.Vars) []ruleset.Finding {
	t.Helper()
	parsed, err := ruleset.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ruleset.Lint(parsed, ruleset.Options{Table: vars.Table()})
}

func loads(t *testing.T, text string) {
	t.Helper()
	err := labtest.Scratch(t).Do(func() error { return nft.Runner{}.Load(t.Context(), text) })
	if err != nil {
		t.Errorf("the kernel refuses it: %v", err)
	}
}

// TestExamplesShareTheShippedPartials keeps the example sets from falling
// behind the shipped ones, of which they differ in one partial.
func TestExamplesShareTheShippedPartials(t *testing.T) {
	shipped, err := templates.Files(templates.Simplified)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"direct", "uniform", "sticky"} {
		for _, f := range shipped {
			got, err := os.ReadFile(filepath.Join("../examples/templates", name, f.Name))
			if err != nil {
				t.Fatal(err)
			}
			if f.Name != "_service.nft.tmpl" && string(got) != f.Text {
				t.Errorf("%s/%s is not the shipped partial: copy it", name, f.Name)
			}
		}
	}
}

// TestSameInputSameBytes renders a state and the same in another order, as no
// writer but a person would write it.
func TestSameInputSameBytes(t *testing.T) {
	for _, name := range templates.Names() {
		set := load(t, name)
		st := example(t, "states/dual-stack.yaml")
		a := must(t, set, st)
		b := must(t, set, st)
		if !a.SameText(b) || a.Text() != b.Text() {
			t.Errorf("%s: two renderings differ", name)
		}
	}
}

func must(t *testing.T, set *render.Set, st *state.State) *render.Result {
	t.Helper()
	result, err := render.Render(t.Context(), set, st, with(t, set, nil))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestAutoChoosesBySize(t *testing.T) {
	set := load(t, render.Auto)
	for _, tt := range []struct {
		steered int
		want    string
	}{{0, "simplified"}, {64, "simplified"}, {65, "cascade"}} {
		if got := must(t, set, numbered(tt.steered)).Set; got != tt.want {
			t.Errorf("%d steered ServicePorts: set %s, want %s", tt.steered, got, tt.want)
		}
	}
}

// TestOrigin asks where lines came from that a person can find by eye.
func TestOrigin(t *testing.T) {
	set := load(t, "simplified")
	result := must(t, set, example(t, "states/dual-stack.yaml"))
	lines := strings.Split(result.Text(), "\n")
	tests := []struct{ line, template, id string }{
		{"set nodeport-ips {", `set {{ .Vars.nodePortIPs }}`, ""},
		{"tcp . 30080 comment \"default/web:http\"", "{{ .Protocol }} . {{ .NodePort }}", "default/web:http"},
		{"10.42.1.11 . 53", "dnat {{ .Family.Name }} to", "kube-system/dns:dns"},
		{"chain output {", "chain {{ .Vars.outputChain }}", ""},
		{"masquerade fully-random", "masquerade fully-random", ""},
	}
	for _, tt := range tests {
		n := slices.IndexFunc(lines, func(s string) bool { return strings.Contains(s, tt.line) })
		if n < 0 {
			t.Errorf("no line holds %q", tt.line)
			continue
		}
		origin := result.Origin(n + 1)
		if got := sourceLine(t, set, origin.File, origin.Line); !strings.Contains(got, tt.template) {
			t.Errorf("origin of %q is %s:%d %q, want the line with %q", tt.line, origin.File, origin.Line, got, tt.template)
		}
		id := ""
		if origin.ServicePort != nil {
			id = origin.ServicePort.ID()
		}
		if id != tt.id {
			t.Errorf("ServicePort of %q = %q, want %q", tt.line, id, tt.id)
		}
	}
}

func sourceLine(t *testing.T, set *render.Set, file string, line int) string {
	t.Helper()
	for _, f := range set.Files {
		if lines := strings.Split(f.Text, "\n"); f.Name == file && line >= 1 && line <= len(lines) {
			return lines[line-1]
		}
	}
	return ""
}

// custom is a set of one main template and one partial.
func custom(t testing.TB, main, partial string) *render.Set {
	t.Helper()
	set, err := render.Parse("custom", []templates.File{{Name: templates.Main, Text: main}, {Name: "_p.nft.tmpl", Text: partial}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestErrorsNameThePlace(t *testing.T) {
	each := "{{ range .Families }}{{ range .ServicePorts }}\n{{ include \"p\" . }}{{ end }}{{ end }}"
	tests := []struct {
		name, main, partial string
		want                string // of Error
		calls               []string
	}{
		{
			"field that is not there", "a\n{{ .Nope }}", "",
			"ruleset.nft.tmpl:2:4: <.Nope>: can't evaluate field Nope in type *render.Data", nil,
		},
		{
			"var that is not there", "{{ .Vars.nope }}", "",
			`ruleset.nft.tmpl:1:9: <.Vars.nope>: map has no entry for key "nope"`, nil,
		},
		{
			"in a partial, for a ServicePort", each, "{{ define \"p\" }}\n\n\t{{ .Nope }}{{ end }}",
			"_p.nft.tmpl:3:5: for ServicePort ns/sp-0: <.Nope>: can't evaluate field Nope in type *render.ServicePort",
			[]string{"ruleset.nft.tmpl:2"},
		},
		{
			"through template and include", "{{ template \"p\" . }}", "{{ define \"p\" }}{{ include \"q\" . }}{{ end }}\n{{ define \"q\" }}{{ fail \"no\" }}{{ end }}",
			"_p.nft.tmpl:2:20: <fail \"no\">: error calling fail: no",
			[]string{"ruleset.nft.tmpl:1", "_p.nft.tmpl:1"},
		},
		{
			"nil", "x\n{{ index .Families 0 | printf \"%d\" }}", "",
			`ruleset.nft.tmpl:2: the output holds "%!"`, nil,
		},
		{
			"lenient conversion", "{{ atoi \"12x\" }}", "",
			`ruleset.nft.tmpl:1:4: <atoi "12x">: error calling atoi: strconv.Atoi: parsing "12x": invalid syntax`, nil,
		},
		{"missing key", `{{ index (dict "a" 1) "b" }}`, "", `ruleset.nft.tmpl:1:4: <index (dict "a" 1) "b">: error calling index: nothing at b`, nil},
		{"endless recursion", "{{ include \"p\" . }}", "{{ define \"p\" }}{{ include \"p\" . }}{{ end }}", "partials deep", nil},
		{"hostile comment", `{{ comment "a\" ; }" }}`, "", `cannot be a comment: nft's strings hold no '"'`, nil},
		{"too large", `{{ range until 1000000 }}{{ repeat 1000 "x" }}{{ end }}`, "", "the output is too large: expected at most 64 MiB", nil},
		{"too long a list", `{{ range until 100000000 }}{{ end }}`, "", "too long: expected at most", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := custom(t, tt.main, tt.partial)
			_, err := render.Render(t.Context(), set, numbered(1), with(t, set, nil))
			var failed *render.Error
			if !errors.As(err, &failed) {
				t.Fatalf("error = %v, want a *render.Error", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v\nwant %s", err, tt.want)
			}
			for i, call := range tt.calls {
				if i >= len(failed.Calls) || failed.Calls[i].String() != call {
					t.Errorf("calls = %v, want %v", failed.Calls, tt.calls)
					break
				}
			}
			if detail := failed.Detail(); !strings.Contains(detail, ">") {
				t.Errorf("detail shows no source:\n%s", detail)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name  string
		files []templates.File
		want  string
	}{
		{"syntax", []templates.File{{Name: templates.Main, Text: "a\n{{ if }}"}}, "ruleset.nft.tmpl:2: missing value for if"},
		{"unknown function", []templates.File{{Name: templates.Main, Text: "{{ env \"HOME\" }}"}}, `function "env" not defined`},
		{"no main", []templates.File{{Name: "_p.nft.tmpl", Text: "x"}}, "no ruleset.nft.tmpl"},
		{"defined twice", []templates.File{
			{Name: "_a.nft.tmpl", Text: `{{ define "x" }}1{{ end }}`},
			{Name: "_b.nft.tmpl", Text: `{{ define "x" }}2{{ end }}`},
			{Name: templates.Main, Text: `{{ include "x" . }}`},
		}, `_b.nft.tmpl: "x" is defined already in _a.nft.tmpl`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := render.Parse("s", tt.files, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestOneFailureLeavesOneOut has a template that fails for some ServicePorts.
func TestOneFailureLeavesOneOut(t *testing.T) {
	set := custom(t, `{{ range .Families }}{{ range .ServicePorts }}{{ if lt .NodePort 30003 }}{{ fail "no" }}{{ end }}{{ .ID }}
{{ end }}{{ end }}`, "")
	result := must(t, set, numbered(10))
	if len(result.LeftOut) != 3 || strings.Count(result.Text(), "\n") != 7 {
		t.Errorf("left out %d, rendered:\n%s\nwant 3 and 7 lines", len(result.LeftOut), result.Text())
	}
	if id := result.LeftOut[0].ServicePort.ID(); id != "ns/sp-0" || result.LeftOut[0].Err.ServicePort != id {
		t.Errorf("first left out = %s, %v", id, result.LeftOut[0].Err)
	}
	_, err := render.Render(t.Context(), set, numbered(4), with(t, set, nil))
	if err == nil || !strings.Contains(err.Error(), "for ServicePort ns/sp-0") {
		t.Errorf("3 of 4 fail: %v, want the first error: the template is broken", err)
	}
}

// TestTimeout has templates that never end, whether they write or not.
func TestTimeout(t *testing.T) {
	for _, text := range []string{
		`{{ range until 1000000 }}{{ range until 1000000 }}x{{ end }}{{ end }}`,
		`{{ range 1000000000000 }}{{ end }}`,
		`{{ range 1000000000000 }}{{ if false }}x{{ end }}{{ end }}`,
	} {
		set := custom(t, text, "")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := render.Render(ctx, set, numbered(1), with(t, set, nil)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error = %v, want the context's", text, err)
		}
	}
}

func TestVars(t *testing.T) {
	tests := []struct {
		name string
		over render.Vars
		want string
	}{
		{"unknown", render.Vars{"tabel": "x"}, "var tabel: no such var; expected one of"},
		{"priority of kube-proxy", render.Vars{"priority": -100}, "not kube-proxy's -100"},
		{"kind", render.Vars{"modulus": "many"}, `var modulus: got "many", expected a whole number`},
		{"syntax in a name", render.Vars{"table": "x { }"}, "expected a name"},
		{"heartbeat", render.Vars{"heartbeat": "5ms"}, "expected a duration from 1s"},
		{"two at once", render.Vars{"masquerade": "some", "chainName": "{hash}"}, "\nvar masquerade: got \"some\", expected one of all, remote, none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := render.DefaultVars().With(tt.over, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestSameText: how a text is cut into parts makes no difference.
func TestSameText(t *testing.T) {
	cut := func(parts ...string) *render.Result {
		r := render.NewResult("x", "")
		r.Parts = parts
		return r
	}
	for _, c := range []struct {
		a, b *render.Result
		want bool
	}{
		{cut("ab", "cd"), cut("a", "", "bcd"), true},
		{cut("ab", "cd", ""), cut("abcd"), true},
		{cut(), cut(""), true},
		{cut("ab", "cd"), cut("ab", "ce"), false},
		{cut("ab", "cd"), cut("ab", "c"), false},
		{cut("abc", "d"), cut("axcd"), false},
	} {
		if got := c.a.SameText(c.b); got != c.want || c.b.SameText(c.a) != c.want {
			t.Errorf("%+v and %+v: got %v, want %v", c.a.Parts, c.b.Parts, got, c.want)
		}
	}
}

// TestSameSet: sets of the same files are the same, others are not.
func TestSameSet(t *testing.T) {
	a, b := load(t, "cascade"), load(t, "cascade")
	if !a.Same(b) || !a.Same(a) {
		t.Error("a set that was loaded twice is not the same")
	}
	if a.Same(load(t, "simplified")) || a.Same(nil) {
		t.Error("another set is the same")
	}
}
