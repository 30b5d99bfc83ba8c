package apply_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
	"weft/state"
)

// stateFile decodes an example.
func stateFile(t testing.TB, name string) *state.State {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../examples/states", name))
	if err != nil {
		t.Fatal(err)
	}
	st, err := state.Decode(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// another is the state with other shares, an endpoint less and a ServicePort less.
func another(st *state.State) *state.State {
	n := *st
	n.ServicePorts = nil
	for i, p := range st.ServicePorts {
		c := *p
		c.Endpoints = slices.Clone(p.Endpoints)
		switch n := len(c.Endpoints); {
		case i == 1:
			continue
		case n == 2 && c.Endpoints[0].Share > 0:
			c.Endpoints[0].Share, c.Endpoints[1].Share = c.Endpoints[1].Share, c.Endpoints[0].Share
		case n > 2 && c.Endpoints[n-1].Share > 0:
			c.Endpoints[n-2].Share += c.Endpoints[n-1].Share
			c.Endpoints = c.Endpoints[:n-1]
		}
		n.ServicePorts = append(n.ServicePorts, &c)
	}
	return &n
}

// planned is a plan made in a namespace.
func planned(t testing.TB, ns *lab.Namespace, d *apply.Desired, opts apply.PlanOptions) (plan *apply.Plan, document string) {
	t.Helper()
	err := ns.Do(func() (err error) {
		if plan, err = d.Plan(t.Context(), nft.Runner{}, opts); err != nil || !opts.JSON {
			return err
		}
		bytes, err := plan.JSON(t.Context(), nft.Runner{})
		document = string(bytes)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan, document
}

// lists is what apply lists of a namespace, without comments if so asked.
func lists(t testing.TB, ns *lab.Namespace, comments bool) string {
	t.Helper()
	var text string
	err := ns.Do(func() (err error) {
		text, err = apply.Listing(t.Context(), nft.Runner{}, "weft")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if comments || !strings.HasPrefix(strings.TrimSpace(line), "comment ") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines) // the kernel lists blocks as they were made
	return strings.Join(lines, "")
}

// TestPlan: from each set and state to each other, the plan makes the kernel hold
// what loading the rules would, as text and as JSON that `nft -j -f` takes.
func TestPlan(t *testing.T) {
	ns := labtest.Scratch(t)
	st := stateFile(t, "dual-stack.yaml")
	states := map[string]*state.State{"as it is": st, "with other shares": another(st), "with one ServicePort": stateFile(t, "three-endpoints.yaml")}
	desired := map[string]*apply.Desired{}
	for name, set := range sets(t) {
		vars, err := render.DefaultVars().With(nil, set.Declared)
		if err != nil {
			t.Fatal(err)
		}
		for what, st := range states {
			if desired[name+" "+what], err = apply.Desire(t.Context(), set, st, vars); err != nil {
				var failed *render.Error
				if !errors.As(err, &failed) {
					t.Fatal(err)
				}
				delete(desired, name+" "+what) // an example set may not be for it
			}
		}
	}
	names := slices.Sorted(maps.Keys(desired))
	if len(names) < 12 {
		t.Fatalf("only %q", names)
	}
	for i, from := range names {
		for _, step := range []int{0, 1, 5} { // to itself, to its own set's or the next one, to another set
			if to := names[(i+step)%len(names)]; step > 0 || i%3 == 0 {
				t.Run(from+" to "+to, func(t *testing.T) { testPlan(t, ns, desired[from], desired[to]) })
			}
		}
	}
}

func testPlan(t *testing.T, ns *lab.Namespace, from, to *apply.Desired) {
	load := func(text string) {
		t.Helper()
		if err := ns.Load(text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	load("flush ruleset\n" + to.Text())
	want, wantPlain := lists(t, ns, true), lists(t, ns, false)
	load("flush ruleset\n" + from.Text())
	plan, _ := planned(t, ns, to, apply.PlanOptions{})
	if (from == to) != plan.Empty() {
		t.Errorf("the plan is %q", plan.Text())
	}
	load(plan.Text())
	if d := cmp.Diff(want, lists(t, ns, true)); d != "" {
		t.Errorf("%s\n%s", d, plan.Text())
	}
	load("flush ruleset\n" + from.Text())
	_, document := planned(t, ns, to, apply.PlanOptions{JSON: true, WithoutComments: true})
	if err := loadJSON(ns, document); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	if d := cmp.Diff(wantPlain, lists(t, ns, false)); d != "" {
		t.Errorf("%s\n%s", d, document)
	}
}

func loadJSON(ns *lab.Namespace, document string) error {
	return ns.Do(func() error {
		cmd := exec.Command("nft", "-j", "-f", "-")
		cmd.Stdin = strings.NewReader(document)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft -j -f: %w: %s", err, out)
		}
		return nil
	})
}

// TestPlanSaysWhatJSONLoses: also what only trying the document tells.
func TestPlanSaysWhatJSONLoses(t *testing.T) {
	ns := labtest.Scratch(t)
	st := stateFile(t, "three-endpoints.yaml")
	for _, tt := range []struct{ name, block, want string }{
		{"known", "comment \"x\"", "comment of table ip weft: nft drops it"},
		{"found by trying", "chain c {\nip saddr { 10.0.0.1, 10.0.0.0/24 } accept\n}", "would not make the kernel hold the same"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := oneTemplate(t, "table ip weft {\n"+tt.block+"\n}\n")
			desired, err := apply.Desire(t.Context(), set, st, render.DefaultVars())
			if err != nil {
				t.Fatal(err)
			}
			err = ns.Do(func() error {
				plan, err := desired.Plan(context.Background(), nft.Runner{}, apply.PlanOptions{JSON: true})
				if err != nil {
					return err
				}
				_, err = plan.JSON(context.Background(), nft.Runner{})
				return err
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func oneTemplate(t *testing.T, text string) *render.Set {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ruleset.nft.tmpl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := render.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestLoadDifference: what is there stays as it is, and where the difference is
// refused everything is replaced.
func TestLoadDifference(t *testing.T) {
	ns := labtest.Scratch(t)
	set, err := render.Load("cascade")
	if err != nil {
		t.Fatal(err)
	}
	st := stateFile(t, "dual-stack.yaml")
	first, err := apply.Desire(t.Context(), set, st, render.DefaultVars())
	if err != nil {
		t.Fatal(err)
	}
	second, err := apply.Desire(t.Context(), set, another(st), render.DefaultVars())
	if err != nil {
		t.Fatal(err)
	}
	load := func(d *apply.Desired, runner nft.Runner) {
		t.Helper()
		if err := ns.Do(func() error { return d.LoadDifference(t.Context(), runner) }); err != nil {
			t.Fatal(err)
		}
	}
	handle := func() string { // a table that is made anew gets another
		t.Helper()
		out, err := ns.Run("nft", "-a", "list", "table", "ip", "weft")
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(out), "\n")
		_, services, _ := strings.Cut(string(out), "\tchain services {")
		services, _, _ = strings.Cut(services, "}")
		return first + services
	}
	load(first, nft.Runner{})
	before := handle()
	load(second, nft.Runner{})
	if d := cmp.Diff(before, handle()); d != "" {
		t.Errorf("a chain that did not change is another: %s", d)
	}
	// An nft that refuses whatever is no whole replacement.
	refusing := filepath.Join(t.TempDir(), "nft")
	script := "#!/bin/sh\nin=/dev/null\ncase \"$*\" in *-f*) in=$(mktemp); cat >$in; grep -q '^delete table ip6 weft' $in || { rm $in; echo '/dev/stdin:1:1-2: Error: busy' >&2; exit 1; };; esac\nnft \"$@\" <$in\nstatus=$?\n[ $in = /dev/null ] || rm $in\nexit $status\n"
	if err := os.WriteFile(refusing, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	load(first, nft.Runner{Path: refusing})
	if before == handle() {
		t.Error("the difference was refused and nothing replaced")
	}
	if plan, _ := planned(t, ns, first, apply.PlanOptions{}); !plan.Empty() {
		t.Errorf("still to do: %s", plan.Text())
	}
}
