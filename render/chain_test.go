package render_test

import (
	"strings"
	"testing"

	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
	"weft/templates"
)

// ownChain is cascade with another name of the chain that holds a ServicePort.
func ownChain(t *testing.T, name string) *render.Set {
	t.Helper()
	files, err := templates.Files(templates.Cascade)
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if files[i].Name == "_chain.nft.tmpl" {
			files[i].Text = `{{ define "chain" }}` + name + `{{ end }}`
		}
	}
	set, err := render.Parse("mine", files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestChains: whichever ServicePorts share a chain, the rules do their job.
func TestChains(t *testing.T) {
	st := example(t, "states/dual-stack.yaml")
	for _, tt := range []struct{ name, want, err string }{
		{"{{ chainName . }}", "chain svc-SUSTUHLJ-default/web/tcp/http {", ""},
		{"one-{{ portRange 1 . }}", "chain one-30080-30080 {", ""},
		{"some-{{ portRange 100 . }}", "chain some-30000-30099 {", ""},
		{"all-{{ portRange 65536 . }}", "chain all-0-65535 {", ""},
		{"last-{{ portRange 40000 . }}", "chain last-0-39999 {", ""},
		{"{{ portRange 0 . }}", "", "got a size of 0, expected 1 to 65536"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := ownChain(t, tt.name)
			desired, err := apply.Desire(t.Context(), set, st, with(t, set, nil))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(desired.Text(), tt.want) {
				t.Errorf("no %q in\n%s", tt.want, desired.Text())
			}
			labtest.RequireKernel(t)
			if err := desired.Rehearse(t.Context(), nft.Runner{}); err != nil {
				t.Error(err)
			}
		})
	}
}
