package render_test

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weft/render"
	"weft/state"
	"weft/templates"
)

// curious are sets with entries that depend on more than they seem to.
func curious() map[string]string {
	each := func(body string) string {
		return "{{ range $f := .Families }}table {{ .Name }}\n{{ range .ServicePorts }}" + body + "\n{{ end }}{{ end }}"
	}
	return map[string]string{
		"vars":                     each(`{{ .ID }} {{ .Vars.modulus }} {{ $.Vars.table }} {{ $f.Vars.heartbeat }}`),
		"the data itself":          each(`{{ .ID }} of {{ len $.Families }} {{ $.Node }}`),
		"others, by the family":    each(`{{ .ID }} of {{ len .Family.ServicePorts }}`),
		"others, by a variable":    each(`{{ .ID }} of {{ len $f.ServicePorts }} {{ $f.NodePorts "tcp" }}`),
		"others, for some":         each(`{{ .ID }}{{ if eq (mod .NodePort 3) 1 }} of {{ len .Family.ServicePorts }}{{ end }}`),
		"a number of others":       `{{ range .Families }}{{ $n := len .ServicePorts }}{{ range .ServicePorts }}{{ .ID }} {{ $n }}{{ end }}{{ end }}`,
		"a list of others":         `{{ range .Families }}{{ $all := .ServicePorts }}{{ range .ServicePorts }}{{ .ID }} {{ (index $all 0).ID }}{{ end }}{{ end }}`,
		"another":                  `{{ range .Families }}{{ $first := "" }}{{ with .ServicePorts }}{{ $first = index . 0 }}{{ end }}{{ range .ServicePorts }}{{ .ID }} {{ $first.NodePort }} {{ (index $first.Endpoints 0).Share }}{{ end }}{{ end }}`,
		"pairs":                    `{{ range .Families }}{{ $f := . }}{{ range $a := .ServicePorts }}{{ range $b := $f.ServicePorts }}{{ $a.NodePort }}-{{ $b.NodePort }} {{ end }}{{ end }}{{ end }}`,
		"addresses":                each(`{{ .ID }} {{ .Family.Addresses }} {{ range .Family.Addresses }}{{ . }},{{ end }}`),
		"the index":                `{{ range .Families }}{{ range $i, $p := .ServicePorts }}{{ if $i }}, {{ end }}{{ $i }}:{{ $p.ID }}{{ end }}{{ end }}`,
		"a sum":                    `{{ range .Families }}{{ $n := 0 }}{{ range .ServicePorts }}{{ $n = add $n (len .Endpoints) }}{{ .ID }} {{ $n }}{{ end }}{{ end }}`,
		"the one before":           `{{ range .Families }}{{ $last := "" }}{{ range .ServicePorts }}{{ .ID }} after {{ $last }}{{ $last = .ID }}{{ end }}{{ end }}`,
		"break":                    each(`{{ if gt .NodePort 30004 }}{{ break }}{{ end }}{{ .ID }}`),
		"continue":                 each(`{{ if eq (mod .NodePort 2) 0 }}even{{ continue }}{{ end }}{{ .ID }} {{ .Family.Name }}`),
		"continue inside":          each(`{{ range .Endpoints }}{{ if .Local }}{{ continue }}{{ end }}{{ . }}{{ end }}`),
		"else":                     `{{ range .Families }}{{ range .ServicePorts }}{{ .ID }}{{ else }}none{{ end }}{{ end }}`,
		"hidden variables":         each(`{{ $f := .Name }}{{ $f }}{{ range $f := .Endpoints }}{{ $f.Port }}{{ end }}{{ $f }}`),
		"two levels":               `{{ range .Families }}{{ $t := include "p" . }}{{ $t | indent 2 }}{{ end }}`,
		"a partial as a value":     each(`{{ include "q" . | indent 4 }}`),
		"a partial by itself":      `{{ range .Families }}{{ with .ServicePorts }}{{ include "q" (index . 0) }}{{ template "q" (last .) }}{{ end }}{{ end }}`,
		"a partial of all":         `{{ range .Families }}{{ include "p" . }}{{ end }}`,
		"lists of values":          `{{ range .Families }}{{ $f := . }}{{ range .Protocols }}{{ $p := . }}{{ . }} {{ range $f.NodePorts . }}{{ $p }}{{ . }},{{ end }}{{ end }}{{ range $i, $a := .Addresses }}{{ $i }}{{ $a }}{{ end }}{{ end }}`,
		"lists of values, indexed": `{{ range .Families }}{{ range $i, $n := .NodePorts "tcp" }}{{ if $i }},{{ end }}{{ $n }}{{ end }}{{ range $i, $n := .NodePorts "udp" }}{{ $i }}{{ $n }}{{ end }}{{ end }}`,
		"no list":                  `{{ range 3 }}{{ . }}{{ end }}{{ range $k, $v := .Vars }}{{ $k }}{{ end }}{{ range until 3 }}{{ . }}{{ end }}{{ range list 1 "a" nil }}{{ . | default "x" }}{{ end }}`,
		"fails for some":           each(`{{ if eq (mod .NodePort 3) 0 }}{{ fail "no" }}{{ end }}{{ .ID }} {{ range .Endpoints }}{{ .Share }}{{ end }}`),
		"fails among many":         each(`{{ if and (eq (mod .NodePort 3) 0) (gt (len .Family.ServicePorts) 3) }}{{ fail "no" }}{{ end }}{{ .ID }}`),
		"fails by a number":        `{{ range .Families }}{{ $n := len .ServicePorts }}{{ range .ServicePorts }}{{ if and (eq (mod .NodePort 3) 0) (gt $n 3) }}{{ fail "no" }}{{ end }}{{ .ID }}{{ end }}{{ end }}`,
		"fails where it is asked":  `{{ range .Families }}{{ if gt (len .ServicePorts) 3 }}{{ range .ServicePorts }}{{ if eq (mod .NodePort 3) 0 }}{{ fail "no" }}{{ end }}{{ .ID }}{{ end }}{{ else }}few{{ end }}{{ end }}`,
		"fails in a partial":       each(`{{ include "f" . }}`),
		"fails for all":            each(`{{ .Nope }}`),
		"residue for some":         each(`{{ if eq (mod .NodePort 3) 0 }}{{ printf "%d" .ID }}{{ end }}{{ .ID }}`),
		"residue at a seam":        `{{ range .Families }}{{ range .ServicePorts }}{{ .ID }}{{ if eq (mod .NodePort 3) 0 }}%{{ end }}{{ end }}{{ if eq (len .ServicePorts) 2 }}!{{ end }}{{ end }}`,
		"residue before a failure": each(`{{ if eq (mod .NodePort 3) 0 }}%!{{ end }}{{ if eq (mod .NodePort 4) 0 }}{{ fail "no" }}{{ end }}{{ .ID }}`),
		"printed data":             each(`{{ . }} {{ .Family }} {{ printf "%v %+v %s %q" . . .Family $f }} {{ range .Endpoints }}{{ . }}{{ end }} {{ list . }} {{ $ }}`),
		"data as JSON":             each(`{{ toJson . }}`),
		"compared data":            each(`{{ range .Family.ServicePorts }}{{ deepEqual . (first .Family.ServicePorts) }}{{ end }}{{ deepEqual . (first $f.ServicePorts) }}{{ eq . (first $f.ServicePorts) }}`),
		"slots":                    each(`{{ range ranges 100 . }}{{ . }}={{ .Address }}{{ .Percent }} {{ end }}{{ range $i, $p := cascade 50 . }}{{ $i }}{{ .Left }}{{ .Count }}{{ $p.AddrPort }}{{ end }}{{ chainName . }}{{ modulus . }}`),
		"deep":                     each(`{{ include "deep" (list 0 .) }}`),
		"floats":                   `{{ range .Families }}{{ $x := 0.0 }}{{ if gt (len .ServicePorts) 3 }}{{ $x = mulf 0 -1 }}{{ end }}{{ range .ServicePorts }}{{ .ID }} {{ $x }}{{ end }}{{ end }}`,
	}
}

const curiousPartials = `{{ define "p" }}{{ .Name }}
{{ range .ServicePorts }}{{ include "q" . }}
{{ end }}{{ end }}{{ define "q" }}{{ .ID }} {{ $.NodePort }}{{ range $i, $e := .Endpoints }}{{ $e }} {{ .Share }}{{ end }}{{ end }}
{{ define "f" }}{{ if eq (mod .NodePort 3) 0 }}{{ fail "no" }}{{ end }}{{ .ID }}{{ end }}
{{ define "deep" }}{{ if lt (index . 0) 20 }}{{ include "deep" (list (add1 (index . 0)) (index . 1)) }}{{ else }}{{ (index . 1).ID }}{{ end }}{{ end }}`

func allSets(t testing.TB) map[string]*render.Set {
	t.Helper()
	sets := map[string]*render.Set{render.Auto: load(t, render.Auto)}
	for _, name := range templates.Names() {
		sets[name] = load(t, name)
	}
	folders, err := os.ReadDir("../examples/templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		sets[f.Name()] = load(t, filepath.Join("../examples/templates", f.Name()))
	}
	for name, text := range curious() {
		sets[name] = custom(t, text, curiousPartials)
	}
	return sets
}

// TestReuseGivesTheSameBytes edits states at random. Whatever was rendered before,
// the text, what is left out and the error are those of a rendering from nothing.
func TestReuseGivesTheSameBytes(t *testing.T) {
	sets := allSets(t)
	names := slices.Sorted(maps.Keys(sets))
	rapid.Check(t, func(t *rapid.T) {
		// Several sets at once, since there are more than rapid makes checks.
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 6, 6, rapid.ID[string]).Draw(t, "sets")
		var renderers []*render.Renderer
		var vars []render.Vars
		for _, name := range some {
			v, err := render.DefaultVars().With(nil, sets[name].Declared)
			if err != nil {
				t.Fatal(err)
			}
			renderers, vars = append(renderers, render.NewRenderer(sets[name])), append(vars, v)
		}
		st := anyState(t)
		for range rapid.IntRange(1, 8).Draw(t, "passes") {
			for i, r := range renderers {
				compare(t, some[i], r, st, vars[i])
			}
			st = edited(t, st, vars)
		}
	})
}

func compare(t *rapid.T, name string, renderer *render.Renderer, st *state.State, vars render.Vars) {
	t.Helper()
	want, wantOut, wantErr := render.RenderPlain(t.Context(), renderer.Set(), st, vars)
	got, gotErr := renderer.Render(t.Context(), st, vars)
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Fatalf("%s: error = %v\nwant %v", name, gotErr, wantErr)
	}
	if gotErr != nil {
		return
	}
	if diff := cmp.Diff(want, got.Text()); diff != "" {
		t.Fatalf("%s: -from nothing +reused:\n%s", name, diff)
	}
	if got, want := leftOut(got.LeftOut), leftOut(wantOut); got != want {
		t.Fatalf("%s: left out %s\nwant %s", name, got, want)
	}
}

// TestReuse counts the entries that are executed, and looks that parts are shared.
func TestReuse(t *testing.T) {
	tests := []struct {
		set         string
		first, each int // entries that are executed: at first, and when one of them changes
	}{
		// An element, a chain and a port for each; the address; and the list of protocols,
		// which turns out to be made of all of them, is tried once.
		{"simplified", 3*20 + 2, 2},
		{"cascade", 3*20 + 2, 2},
		{"direct", 3*20 + 2, 2},
		{"sticky", 3*20 + 2, 2},
		{"vars", 20, 1},
		{"hidden variables", 20, 1},
		{"continue", 20, 1},
		{"a partial as a value", 20, 1},
		{"two levels", 20, 1},
		{"addresses", 20, 1},
		{"others, by the family", 1, 0}, // as if there were no memory
	}
	for _, tt := range tests {
		t.Run(tt.set, func(t *testing.T) {
			set := allSets(t)[tt.set]
			renderer, vars, st := render.NewRenderer(set), with(t, set, nil), numbered(20)
			first := mustAgain(t, renderer, st, vars)
			if n := renderer.Executed(); n != tt.first {
				t.Errorf("executed %d entries at first, want %d", n, tt.first)
			}
			measured := *st
			measured.Generation, measured.Nodes = 7, []state.Node{{Name: "x"}}
			if again := mustAgain(t, renderer, &measured, vars); again != first {
				t.Errorf("another Result for the same rules")
			}
			before := renderer.Executed()
			second := mustAgain(t, renderer, changed(st, 7), vars)
			if n := renderer.Executed() - before; n != tt.each {
				t.Errorf("executed %d entries for one change, want %d", n, tt.each)
			}
			other := 0
			for _, b := range second.Parts {
				if !slices.ContainsFunc(first.Parts, func(a string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }) {
					other++
				}
			}
			if other > max(1, tt.each) {
				t.Errorf("%d of %d parts are not those of before, want at most %d", other, len(second.Parts), tt.each)
			}
		})
	}
}

// TestRemade names the lines that cost as much as there are ServicePorts.
func TestRemade(t *testing.T) {
	sets := allSets(t)
	for name, want := range map[string]string{
		"simplified": "", "cascade": "", "direct": "", "sticky": "", "vars": "", "two levels": "[_p.nft.tmpl:3]",
		"addresses":             "",
		"a sum":                 "[ruleset.nft.tmpl:1]",
		"others, by the family": "[ruleset.nft.tmpl:2 ruleset.nft.tmpl:3]",
		"others, for some":      "[ruleset.nft.tmpl:2]",
	} {
		set := sets[name]
		places := fmt.Sprint(mustAgain(t, render.NewRenderer(set), numbered(4), with(t, set, nil)).Remade())
		if want == "" {
			want = "[]"
		}
		if places != want {
			t.Errorf("%s: %s, want %s", name, places, want)
		}
	}
}

func mustAgain(t *testing.T, r *render.Renderer, st *state.State, vars render.Vars) *render.Result {
	t.Helper()
	result, err := r.Render(t.Context(), st, vars)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func leftOut(list []render.LeftOut) string {
	var b strings.Builder
	for _, l := range list {
		fmt.Fprintf(&b, "%p %v %v\n", l.ServicePort, l.Err, l.Err.Calls)
	}
	return b.String()
}

func anyState(t *rapid.T) *state.State {
	st := &state.State{Node: "node-0", Addresses: anyAddresses(t)}
	for n := range rapid.IntRange(0, 8).Draw(t, "ServicePorts") {
		st.ServicePorts = append(st.ServicePorts, anyServicePort(t, n))
	}
	st.Sort()
	return st
}

func anyAddresses(t *rapid.T) []netip.Addr {
	all := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::1")}
	return slices.Clone(all[rapid.IntRange(0, 2).Draw(t, "from"):rapid.IntRange(2, 3).Draw(t, "to")])
}

func anyServicePort(t *rapid.T, n int) *state.ServicePort {
	p := &state.ServicePort{Namespace: "ns", Name: fmt.Sprintf("sp-%d", n), Protocol: state.TCP, NodePort: uint16(30000 + n)}
	p.Port = rapid.SampledFrom([]string{"", "http"}).Draw(t, "port")
	p.Protocol = rapid.SampledFrom([]state.Protocol{state.TCP, state.UDP}).Draw(t, "protocol")
	if rapid.IntRange(0, 5).Draw(t, "skipped") == 0 {
		p.Skipped = "no reason"
	}
	if rapid.IntRange(0, 5).Draw(t, "affinity") == 0 {
		p.Affinity = state.ClientIP
	}
	p.Endpoints = anyEndpoints(t)
	return p
}

func anyEndpoints(t *rapid.T) (list []state.Endpoint) {
	for _, v6 := range []bool{false, true} {
		n := rapid.IntRange(0, 3).Draw(t, "endpoints")
		left := 1.0
		for i := range n {
			e := state.Endpoint{Address: netip.AddrFrom4([4]byte{10, 42, 0, byte(i + 1)}), Port: 8080, Share: left}
			if v6 {
				e.Address = netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i + 1)})
			}
			if i < n-1 {
				e.Share = math.Floor(left*rapid.Float64Range(0, 1).Draw(t, "share")*100) / 100
			}
			left -= e.Share
			e.Node = rapid.SampledFrom([]string{"", "node-0", "node-1"}).Draw(t, "node")
			list = append(list, e)
		}
	}
	return list
}

// edited is another state, mostly of the same ServicePorts.
func edited(t *rapid.T, st *state.State, vars []render.Vars) *state.State {
	next := *st
	next.ServicePorts = slices.Clone(st.ServicePorts)
	for range rapid.IntRange(0, 2).Draw(t, "edits") {
		if rapid.IntRange(0, 3).Draw(t, "rare") == 0 {
			rarely(t, &next, vars)
			continue
		}
		n := rapid.IntRange(0, 9).Draw(t, "n")
		i := slices.IndexFunc(next.ServicePorts, func(p *state.ServicePort) bool { return p.Name == fmt.Sprintf("sp-%d", n) })
		switch {
		case i < 0:
			next.ServicePorts = append(next.ServicePorts, anyServicePort(t, n))
		case rapid.Bool().Draw(t, "remove"):
			next.ServicePorts = slices.Delete(next.ServicePorts, i, i+1)
		default:
			p := *next.ServicePorts[i]
			mutate(t, &p)
			next.ServicePorts[i] = &p
		}
	}
	next.Sort()
	return &next
}

// rarely changes what all rules depend on. Vars are changed in the maps that were
// rendered with before.
func rarely(t *rapid.T, st *state.State, vars []render.Vars) {
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		st.Addresses = anyAddresses(t)
	case 1:
		st.Node = rapid.SampledFrom([]string{"node-0", "node-1"}).Draw(t, "node")
	case 2:
		table := rapid.SampledFrom([]string{"weft", "other"}).Draw(t, "table")
		for _, v := range vars {
			v["table"] = table
		}
	case 3:
		modulus := rapid.SampledFrom([]int{0, 100, 1000}).Draw(t, "modulus")
		for _, v := range vars {
			v["modulus"] = modulus
		}
	}
}

// mutate changes one field of a ServicePort, whichever there are: one that
// templates do not see, too.
func mutate(t *rapid.T, p *state.ServicePort) {
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0:
		p.Endpoints = anyEndpoints(t)
		return
	case 1:
		exchangeShares(p)
		return
	case 2:
		p.Endpoints = slices.Clone(p.Endpoints)
		for i := range p.Endpoints {
			p.Endpoints[i].Node = "node-0"
		}
		return
	}
	v := reflect.ValueOf(p).Elem()
	field := v.Type().Field(rapid.IntRange(0, v.NumField()-1).Draw(t, "field"))
	switch value := v.FieldByIndex(field.Index).Addr().Interface().(type) {
	case *state.Protocol:
		*value = rapid.SampledFrom([]state.Protocol{state.TCP, state.UDP}).Draw(t, "protocol")
	case *uint16:
		*value += 100
	case *string:
		if field.Name == "Port" || field.Name == "Skipped" {
			*value = rapid.SampledFrom([]string{"", "other"}).Draw(t, "text")
		}
	}
}

// exchangeShares gives each endpoint the share of the next one of its family.
func exchangeShares(p *state.ServicePort) {
	p.Endpoints = slices.Clone(p.Endpoints)
	for i := 1; i < len(p.Endpoints); i++ {
		a, b := &p.Endpoints[i-1], &p.Endpoints[i]
		if a.Address.Is4() == b.Address.Is4() {
			a.Share, b.Share = b.Share, a.Share
		}
	}
}

// TestEndpointsAreNotKept checks that endpoints are the same for as long as templates
// are executed, and are let go of then.
func TestEndpointsAreNotKept(t *testing.T) {
	set := custom(t, `{{ range .Families }}{{ range $p := .ServicePorts }}{{ $first := index .Endpoints 0 }}{{ if eq $first (index $p.Endpoints 0) }}same {{ $first.Address }}{{ end }}{{ end }}{{ end }}`, "")
	r := render.NewRenderer(set)
	if text := mustAgain(t, r, numbered(3), with(t, set, nil)).Text(); strings.Count(text, "same ") != 3 {
		t.Errorf("rendered %q, want each first endpoint to be the same twice", text)
	}
	if n := r.Shown(); n != 0 {
		t.Errorf("the endpoints of %d ServicePorts are kept as they were shown", n)
	}
}
