package apply_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/state"
	"weft/templates"
)

// marker is a table of somebody else, which must survive everything.
const marker = "table inet marker {\n\tset s {\n\t\ttype inet_service\n\t\telements = { 1, 2, 3 }\n\t}\n}\n"

// hostile are strings that would do something if they became syntax: of nft, of
// templates or of a shell.
func hostile() []string {
	return []string{
		``, ` `, `"`, `'`, `\`, `web\`, `web"`, "web\n", "\r", "web\r\nx", "web\x00", "\t", "\x7f", "\u2028", "\xff\xfe",
		"x }\n\t}\n}\ntable inet evil {\n\tchain c {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n#",
		"x }\n\t}\n\tchain evil {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n\tset more {\n\t\ttype ipv6_addr\n\t\telements = { ::1",
		`; } table inet evil { }`, "\n}\nflush ruleset\ntable ip weft {\n", `"; flush ruleset; #`, `x" drop comment "y`,
		"x\"\n\t\taccept\n\t\tcounter comment \"y", `x" : accept, udp . 9 comment "y`, `#`, `{`, `}`, `;`, `,`, `.`, `-`, `:`, `*`,
		`$(touch /tmp/evil)`, "`id`", `$x`, `@nodeport-ips`, `@set`, `{{ . }}`, `<no value>`, `<nil>`, `%!s(MISSING)`,
		`drop`, `accept`, `tcp`, `ip`, `goto`, `elements`, `services`, `prerouting`, `include "/etc/passwd"`, `define x = 1`, `0`, `lo`,
		"tcp . 1 : accept, udp", "tcp accept\n\t\tmeta l4proto tcp", "tcp counter", "tcp,udp", "{ tcp, udp }", "!= tcp", "6", "lo timeout 1s, ::9", "lo, ::9", "lo]:1 counter #",
		`wéb`, `ＷＥＢ`, "web\u202ebew", strings.Repeat("x", 63), strings.Repeat("x", 129), strings.Repeat("é", 100), strings.Repeat("x", 300), strings.Repeat("x", 5000),
	}
}

// yamlToo are strings that do something in YAML.
func yamlToo() []string {
	return append(hostile(), `1e9`, `0x10`, `null`, `true`, `~`, `[a]`, `{a: b}`, `&a`, `*a`, `!!int 1`, `!!binary aa==`, `---`, `...`, `? x`, "|\n x", ">-\n x",
		"a: b\nc: d", "web # x", "web, x: y", "web}", "web\nname: other", "web\nskipped: x", "web\n---\nkind: ServicePort", "\ufeffweb", "<<", "=", "no", "0o17", "1_000", "2025-11-24")
}

// plain is a state of every kind of ServicePort, with harmless strings.
func plain() *state.State {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	endpoints := func() []state.Endpoint {
		return []state.Endpoint{
			{Address: netip.MustParseAddr("198.51.100.1"), Port: 80, Node: "node1", Share: 0.5},
			{Address: netip.MustParseAddr("198.51.100.2"), Port: 80, Node: "node2", Share: 0.5},
			{Address: netip.MustParseAddr("2001:db8:1::1"), Port: 80, Node: "node1", Share: 1},
		}
	}
	return &state.State{
		Node: "node1", Addresses: []netip.Addr{v4, v6},
		Nodes: []state.Node{{Name: "node1", Address: v4}, {Name: "node2", Address: netip.MustParseAddr("192.0.2.2")}},
		ServicePorts: []*state.ServicePort{
			{Namespace: "ns1", Name: "one", Port: "http", Protocol: state.TCP, NodePort: 30001, Endpoints: endpoints()},
			{Namespace: "ns2", Name: "two", Port: "dns", Protocol: state.UDP, NodePort: 30002, Endpoints: endpoints()},
			{Namespace: "ns3", Name: "three", Protocol: state.TCP, NodePort: 30003, Skipped: "one node"},
			{Namespace: "ns4", Name: "four", Protocol: state.TCP, NodePort: 30004, Endpoints: endpoints()},
			{Namespace: "ns5", Name: "five", Protocol: state.TCP, NodePort: 30005, Endpoints: endpoints()},
		},
	}
}

// spots are the places of a state where a string can be. Those that have a type
// of their own take what can be made of the string.
var spots = []struct {
	name  string
	turns int // one in so many strings is put there; 0 is each
	put   func(*state.State, string)
}{
	{"namespace", 3, func(st *state.State, s string) { st.ServicePorts[0].Namespace = s }},
	{"name", 3, func(st *state.State, s string) { st.ServicePorts[0].Name = s }},
	{"port", 3, func(st *state.State, s string) { st.ServicePorts[0].Port = s }},
	{"node", 2, func(st *state.State, s string) { st.Node = s }},
	{"nodes[0].name", 4, func(st *state.State, s string) { st.Nodes[0].Name = s }},
	{"protocol", 0, func(st *state.State, s string) { st.ServicePorts[0].Protocol = state.Protocol(s) }},
	{"skipped", 4, func(st *state.State, s string) { st.ServicePorts[2].Skipped = s }},
	{"endpoints[0].node", 0, func(st *state.State, s string) { st.ServicePorts[0].Endpoints[0].Node = s }},
	{"the node of all", 2, func(st *state.State, s string) { st.Node, st.ServicePorts[0].Endpoints[0].Node = s, s }},
	{"endpoints[2].address", 0, func(st *state.State, s string) {
		e := &st.ServicePorts[0].Endpoints[2]
		e.Address = e.Address.WithZone(s)
	}},
	{"addresses[1]", 0, func(st *state.State, s string) { st.Addresses[1] = st.Addresses[1].WithZone(s) }},
	{"nodes[0].address", 4, func(st *state.State, s string) {
		st.Nodes[0].Address = netip.MustParseAddr("2001:db8::9").WithZone(s)
	}},
}

// tame is the state with a harmless string in the place of each that templates
// see, and without the ServicePorts that were left out.
func tame(st *state.State, leftOut []render.LeftOut) *state.State {
	copied := *st
	copied.Node = "node1"
	copied.ServicePorts = nil
	copied.Addresses = slices.Clone(st.Addresses)
	for i, a := range copied.Addresses {
		copied.Addresses[i] = a.WithZone("")
	}
	for i, p := range st.ServicePorts {
		if slices.ContainsFunc(leftOut, func(l render.LeftOut) bool { return l.ServicePort == p }) {
			continue
		}
		q := *p
		if !slices.Contains([]state.Protocol{state.TCP, state.UDP, state.SCTP}, p.Protocol) {
			q.Protocol = state.TCP
		}
		q.Namespace, q.Name, q.Port = fmt.Sprintf("ns%d", i), "name", "port"
		q.Endpoints = slices.Clone(p.Endpoints)
		for k := range q.Endpoints {
			e := &q.Endpoints[k]
			e.Address = e.Address.WithZone("")
			if e.Node == st.Node && e.Node != "" {
				e.Node = "node1"
			} else {
				e.Node = "node2"
			}
		}
		copied.ServicePorts = append(copied.ServicePorts, &q)
	}
	return &copied
}

// sets are those that the tests render with, by name.
func sets(t testing.TB) map[string]*render.Set {
	t.Helper()
	found := map[string]*render.Set{"print everything": printEverything(t)}
	for _, name := range append(templates.Names(), sticky, uniform, direct) {
		set, err := render.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = set
	}
	return found
}

// printEverything is cascade with every string of the data in some comment, by
// the functions that are there for it.
func printEverything(t testing.TB) *render.Set {
	t.Helper()
	files, err := templates.Files(templates.Cascade)
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if files[i].Name == "_chain.nft.tmpl" {
			files[i].Text = `{{ define "chain" }}{{ chainName . }}{{ end }}`
		}
		if files[i].Name == "_service.nft.tmpl" {
			files[i].Text = `{{ define "service" }}	chain {{ chainName . }} {
		counter comment {{ comment .Namespace }}
		counter comment {{ quote .Name }}
		counter comment {{ .Port | upper | quote }}
		counter comment {{ comment (printf "%s %d" .Protocol .NodePort) }}
{{- range cascade (modulus .) . }}
		{{ if not .Last }}numgen random mod {{ .Left }} < {{ .Count }} {{ end }}meta l4proto {{ $.Protocol }} dnat to {{ .AddrPort }} comment {{ comment (print .Node "|" .Address "|" .AddrPort "|" .Percent) }}
{{- end }}
	}
{{ end }}`
		}
	}
	set, err := render.Parse("print everything", files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// prey is a namespace with the marker in it.
type prey struct {
	ns   *lab.Namespace
	sets map[string]*render.Set
	held string            // the structure of what was loaded last
	seen map[string]string // the structure of what was loaded, by the text
	tame map[string]string // that of tame states, by set, vars and state
	// refused by rendering, the lint or nft; leftOut with rules for the others;
	// and all others.
	refused, leftOut, harmless int
}

func newPrey(t testing.TB) *prey {
	t.Helper()
	p := &prey{ns: labtest.Scratch(t), sets: sets(t), seen: map[string]string{}, tame: map[string]string{}}
	if err := p.ns.Load(marker); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.held, err = p.structure(); err != nil {
		t.Fatal(err)
	}
	return p
}

// attack renders the state and loads what comes of it. It is an error if the
// kernel then holds anything else than with harmless strings. good says that the
// state must not be refused, in no part.
func (p *prey) attack(set *render.Set, st *state.State, over render.Vars, good bool) error {
	vars, err := render.DefaultVars().With(over, set.Declared)
	if err != nil {
		return err
	}
	desired, err := apply.Desire(context.Background(), set, st, vars)
	if err != nil {
		p.refused++
		return errorIf(good, err)
	}
	got, err := p.load(desired)
	if err != nil {
		p.refused++
		got, listed := p.structure()
		if diff := cmp.Diff(p.held, got); listed != nil || diff != "" {
			return fmt.Errorf("nft refused it (%w), and the kernel holds something: %w %s", err, listed, diff)
		}
		return errorIf(good, fmt.Errorf("%w\n%.4000s", err, desired.Text()))
	}
	p.harmless++
	if len(desired.LeftOut) > 0 {
		p.leftOut++
		if good {
			return desired.LeftOut[0].Err
		}
	}
	want, err := p.wanted(set, tame(st, desired.LeftOut), vars)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("the kernel holds something else than with harmless strings: %s\nloaded was:\n%.4000s", diff, desired.Text())
	}
	return nil
}

// wanted is the structure that comes of a tame state.
func (p *prey) wanted(set *render.Set, st *state.State, vars render.Vars) (string, error) {
	key := fmt.Sprint(set.Name, vars) + written(st)
	if known, ok := p.tame[key]; ok {
		return known, nil
	}
	harmless, err := apply.Desire(context.Background(), set, st, vars)
	if err != nil {
		return "", fmt.Errorf("no rules with harmless strings: %w", err)
	}
	structure, err := p.load(harmless)
	if err != nil {
		return "", fmt.Errorf("nft refuses what is harmless: %w\n%s", err, harmless.Text())
	}
	p.tame[key] = structure
	return structure, nil
}

// written is all of a state, to compare.
func written(st *state.State) string {
	text, _ := json.Marshal(st) // numbers, strings and addresses have no error
	return string(text)
}

func errorIf(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

// load replaces what the namespace holds and tells its structure.
func (p *prey) load(d *apply.Desired) (string, error) {
	if known, ok := p.seen[d.Text()]; ok {
		return known, nil
	}
	if err := p.ns.Load("flush ruleset\n" + marker + d.Transaction()); err != nil {
		return "", err
	}
	structure, err := p.structure()
	p.seen[d.Text()], p.held = structure, structure
	return structure, err
}

func (p *prey) tell(t testing.TB) {
	t.Helper()
	t.Logf("%d refused, %d loaded, of which %d with ServicePorts left out; %d different rulesets", p.refused, p.harmless, p.leftOut, len(p.seen))
	if p.harmless == 0 {
		t.Error("this test proved nothing")
	}
}

// structure is the whole ruleset of the namespace without what a name may
// change: comments, and the names of chains. All else counts: tables, hooks,
// sets with their elements, chains, each rule.
func (p *prey) structure() (string, error) {
	out, err := p.ns.Run("nft", "-j", "list", "ruleset")
	if err != nil {
		return "", err
	}
	var listing map[string]any
	if err := json.Unmarshal(out, &listing); err != nil {
		return "", err
	}
	var b bytes.Buffer
	for _, object := range listing["nftables"].([]any) {
		text, err := json.Marshal(anonymous("", object))
		if err != nil {
			return "", err
		}
		b.Write(append(text, '\n'))
	}
	return b.String(), nil
}

// anonymous takes names and comments out of a listing.
func anonymous(key string, v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = anonymous(key, v[i])
		}
		return v
	case map[string]any:
		delete(v, "comment")
		delete(v, "expires")
		delete(v, "handle")
		for k := range v {
			v[k] = anonymous(k, v[k])
		}
		return v
	case string:
		if strings.HasPrefix(v, "svc-") && slices.Contains([]string{"chain", "name", "target"}, key) {
			return "svc"
		}
	}
	return v
}

// TestHostileState puts hostile strings into the spots of a state, past the
// decoder, which refuses nearly all of them: each string into each spot for the
// set that prints everything, and each into some for every other. Spots that go
// the same way take turns.
func TestHostileState(t *testing.T) {
	t.Parallel()
	p := newPrey(t)
	const all = "print everything"
	for n, s := range hostile() {
		for i, spot := range spots {
			if spot.turns > 0 && n%spot.turns != i%spot.turns {
				continue
			}
			names := []string{all}
			if i == n%len(spots) {
				names = slices.Sorted(maps.Keys(p.sets))
			}
			for _, name := range names {
				over := overs[(n+i)%len(overs)]
				st := plain()
				spot.put(st, s)
				if err := p.attack(p.sets[name], st, over, false); err != nil {
					t.Errorf("%s, %v, %s is %.100q: %v", name, over, spot.name, s, err)
				}
			}
		}
	}
	p.tell(t)
}

// overs are vars that let other strings through.
var overs = []render.Vars{nil, {"chainName": "svc-{hash}", "masquerade": "none"}, {"chainName": "svc-{hash}", "masquerade": "remote"}}

// file is a state file with a spot for each kind of value.
const file = `apiVersion: weft/v1
kind: State
node: NODE
generation: 1
addresses: [192.0.2.1, ADDRESS]
servicePorts: 2
nodes:
- name: NODENAME
  address: NODEADDRESS
---
kind: ServicePort
namespace: NAMESPACE
name: NAME
port: PORT
protocol: PROTOCOL
nodePort: 30001
endpoints:
- {address: 198.51.100.1, port: 80, node: ENDPOINTNODE, share: 0.5}
- {address: ENDPOINTADDRESS, port: 80, node: node2, share: 0.5}
---
kind: ServicePort
namespace: ns2
name: two
port: ""
protocol: tcp
nodePort: NUMBER
skipped: SKIPPED
`

// values are good ones for the spots of file.
var values = map[string]string{
	"NODE": "node1", "ADDRESS": "192.0.2.2", "NODENAME": "node1", "NODEADDRESS": "192.0.2.1", "NAMESPACE": "ns1", "NAME": "one",
	"PORT": "http", "PROTOCOL": "tcp", "ENDPOINTNODE": "node1", "ENDPOINTADDRESS": "198.51.100.2", "NUMBER": "30002", "SKIPPED": "one node",
}

// fileWith is the file with text in one spot, as it is.
func fileWith(spot, text string) string {
	lines := strings.Split(file, "\n")
	for i, line := range lines {
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return !unicode.IsUpper(r) }) {
			if word == spot {
				line = strings.Replace(line, word, text, 1)
			} else if value, ok := values[word]; ok {
				line = strings.Replace(line, word, value, 1)
			}
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

// writings are the ways to write a string in YAML.
func writings(s string) []string {
	quoted, _ := json.Marshal(s) // a string has no error
	return []string{s, string(quoted), "'" + strings.ReplaceAll(s, "'", "''") + "'"}
}

// TestHostileFile puts them into a state file: it is refused, or what comes of
// it is harmless and complete.
func TestHostileFile(t *testing.T) {
	t.Parallel()
	p := newPrey(t)
	taken := map[string]bool{}
	for _, spot := range slices.Sorted(maps.Keys(values)) {
		for _, s := range yamlToo() {
			for _, text := range writings(s) {
				st, err := state.Decode("state.yaml", []byte(fileWith(spot, text)))
				if err != nil || taken[written(st)] {
					continue
				}
				taken[written(st)] = true
				if err := p.attack(p.sets["print everything"], st, nil, true); err != nil {
					t.Errorf("%s is %.100s: %v", spot, text, err)
				}
			}
		}
	}
	t.Logf("%d different states taken", len(taken))
	p.tell(t)
}

// TestHostileMixtures has mixtures of hostile strings in several spots at once.
func TestHostileMixtures(t *testing.T) {
	t.Parallel()
	p := newPrey(t)
	names := slices.Sorted(maps.Keys(p.sets))
	rapid.Check(t, func(r *rapid.T) {
		part := rapid.SampledFrom(append(hostile(), "web", "web", "a", "-b"))
		st := plain()
		for range rapid.IntRange(1, 3).Draw(r, "spots") {
			spot := rapid.IntRange(0, len(spots)-1).Draw(r, "spot")
			spots[spot].put(st, strings.Join(rapid.SliceOfN(part, 1, 3).Draw(r, "parts"), ""))
		}
		set := p.sets[rapid.SampledFrom(names).Draw(r, "set")]
		over := rapid.SampledFrom(overs).Draw(r, "vars")
		if err := p.attack(set, st, over, false); err != nil {
			r.Fatal(err)
		}
	})
	p.tell(t)
}

// FuzzHostile puts any string into any spot of a state, and of a state file.
func FuzzHostile(f *testing.F) {
	for i, s := range hostile() {
		f.Add(byte(i), s)
	}
	p := newPrey(f)
	names := slices.Sorted(maps.Keys(p.sets))
	inFile := slices.Sorted(maps.Keys(values))
	f.Fuzz(func(t *testing.T, n byte, s string) {
		set := p.sets[names[int(n)%len(names)]]
		st := plain()
		spots[int(n)%len(spots)].put(st, s)
		if err := p.attack(set, st, nil, false); err != nil {
			t.Error(err)
		}
		st, err := state.Decode("state.yaml", []byte(fileWith(inFile[int(n)%len(inFile)], s)))
		if err != nil {
			return
		}
		if err := p.attack(set, st, nil, set.Name != sticky && set.Name != uniform && set.Name != direct); err != nil {
			t.Error(err)
		}
	})
}
