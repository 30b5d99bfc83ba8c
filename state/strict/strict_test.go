package strict_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-multierror"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"weft/state/strict"
)

type level string

func (l *level) UnmarshalText(text []byte) error {
	if *l = level(text); *l != "low" && *l != "high" {
		return errors.New("no such level")
	}
	return nil
}

type mode string

func (m *mode) UnmarshalText(text []byte) error {
	if *m = mode(text); *m != "a" {
		return errors.New("hidden")
	}
	return nil
}

func (*mode) Expected() string { return "a, the only mode" }

type common struct {
	Log string `yaml:"log"`
}

type item struct {
	Name  string   `yaml:"name" strict:"required"`
	Share float64  `yaml:"share" strict:"required,min=0,max=1"`
	Count *int     `yaml:"count" strict:"max=9"`
	Sub   *item    `yaml:"sub"`
	Big   uint64   `yaml:"big"`
	Small int8     `yaml:"small"`
	Port  uint16   `yaml:"port" strict:"min=1"`
	On    bool     `yaml:"on"`
	Level level    `yaml:"level"`
	Mode  mode     `yaml:"mode"`
	Words []string `yaml:"words"`
}

type config struct {
	common   `yaml:"-"`
	Inline   common           `yaml:",inline"`
	Items    []item           `yaml:"items"`
	Address  netip.Addr       `yaml:"address"`
	Network  netip.Prefix     `yaml:"network"`
	Time     time.Time        `yaml:"time"`
	Duration time.Duration    `yaml:"duration"`
	Vars     map[string]any   `yaml:"vars"`
	Limits   map[string]uint8 `yaml:"limits"`
	Plain    string
	Hidden   string `yaml:"-"`
}

func TestDecode(t *testing.T) {
	got := config{Plain: "default", Duration: time.Minute}
	err := strict.Decode("f", 1, []byte(`
log: debug
items:
- {name: a, share: 1, count: 3, sub: {name: b, share: 1e-1}, big: 18446744073709551615, small: -128, port: 80, on: true, level: high, mode: a, words: [x, "1", '']}
address: fd00::1
network: 10.42.0.0/16
time: 2025-11-24T13:38:23.5Z
duration: 1m30s
vars: {a: 1, b: 2.5, c: true, d: text, e: [1, x], f: {g: ~}, h: 2025-11-24}
limits: {x: 255}
`), &got)
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	want := config{
		Inline: common{Log: "debug"},
		Items: []item{{
			Name: "a", Share: 1, Count: &three, Sub: &item{Name: "b", Share: 0.1}, Big: 18446744073709551615, Small: -128,
			Port: 80, On: true, Level: "high", Mode: "a", Words: []string{"x", "1", ""},
		}},
		Address: netip.MustParseAddr("fd00::1"), Network: netip.MustParsePrefix("10.42.0.0/16"),
		Time: time.Date(2025, 11, 24, 13, 38, 23, 5e8, time.UTC), Duration: 90 * time.Second,
		Vars: map[string]any{
			"a": 1, "b": 2.5, "c": true, "d": "text", "e": []any{1, "x"}, "f": map[string]any{"g": nil}, "h": "2025-11-24",
		},
		Limits: map[string]uint8{"x": 255}, Plain: "default",
	}
	same := cmp.Options{cmp.AllowUnexported(config{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const known = "items, address, network, time, duration, vars, limits, plain"

func TestDecodeProblems(t *testing.T) {
	tests := map[string]struct{ doc, want string }{
		"unknown field":             {"colour: red", "f:10: colour: unknown field; known: log, " + known},
		"misspelt field":            {"adress: 10.0.0.1", `f:10: adress: unknown field, did you mean "address"?`},
		"other case":                {"Address: 10.0.0.1", `f:10: Address: unknown field, did you mean "address"?`},
		"hidden field":              {"hidden: x", "f:10: hidden: unknown field; known: log, " + known},
		"duplicate field":           {"plain: a\nlog: x\nplain: b", "f:12: plain: duplicate field, the first is on line 10"},
		"duplicate key in a map":    {"vars:\n  a: 1\n  a: 2", "f:12: vars.a: duplicate field, the first is on line 11"},
		"missing fields":            {"items:\n- count: 1", "f:11: items[0].name: missing, expected a string\nf:11: items[0].share: missing, expected a number from 0 to 1"},
		"string for a number":       {"items:\n- {name: a, share: abc}", `f:11: items[0].share: got the string "abc", expected a number from 0 to 1`},
		"quoted number":             {"items:\n- {name: a, share: \"1\"}", `f:11: items[0].share: got the string "1", expected a number from 0 to 1`},
		"number for a string":       {"plain: 12", "f:10: plain: got the number 12, expected a string"},
		"boolean for a string":      {"plain: true", "f:10: plain: got the boolean true, expected a string"},
		"nothing":                   {"plain:", "f:10: plain: got nothing, expected a string"},
		"a list for a struct":       {"items:\n- []", "f:11: items[0]: got a list, expected fields: name, share, count, sub, big, small, port, on, level, mode, words"},
		"a mapping for a list":      {"items: {}", "f:10: items: got a mapping, expected a list"},
		"a scalar for a map":        {"vars: x", `f:10: vars: got the string "x", expected a mapping`},
		"hexadecimal":               {"limits: {x: 0x1f}", "f:10: limits.x: got the number 0x1f, expected a whole number from 0 to 255"},
		"octal":                     {"limits: {x: 017}", "f:10: limits.x: got the number 017, expected a whole number from 0 to 255"},
		"underscore":                {"limits: {x: 1_0}", "f:10: limits.x: got the number 1_0, expected a whole number from 0 to 255"},
		"too large":                 {"limits: {x: 256}", "f:10: limits.x: got the number 256, expected a whole number from 0 to 255"},
		"fraction":                  {"limits: {x: 1.5}", "f:10: limits.x: got the number 1.5, expected a whole number from 0 to 255"},
		"below min":                 {"items:\n- {name: a, share: 0, port: 0}", "f:11: items[0].port: got the number 0, expected a whole number from 1 to 65535"},
		"above max":                 {"items:\n- {name: a, share: 0, count: 10}", "f:11: items[0].count: got the number 10, expected a whole number of at most 9"},
		"infinite":                  {"items:\n- {name: a, share: 1e999}", `f:11: items[0].share: got the string "1e999", expected a number from 0 to 1`},
		"yes is no boolean":         {"items:\n- {name: a, share: 0, on: yes}", `f:11: items[0].on: got the string "yes", expected true or false`},
		"bad address":               {"address: 10.0.0", `f:10: address: got "10.0.0", expected an IP address such as 10.34.4.141`},
		"bad network":               {"network: 10.0.0.0", `f:10: network: got "10.0.0.0", expected a network such as 10.42.0.0/16`},
		"bad time":                  {"time: 2025-11-24", `f:10: time: got "2025-11-24", expected a time such as 2025-11-24T13:38:23Z`},
		"bad duration":              {"duration: 30", `f:10: duration: got "30", expected a duration such as 30s or 5m`},
		"text with words":           {"items:\n- {name: a, share: 0, mode: b}", `f:11: items[0].mode: got "b", expected a, the only mode`},
		"text without words":        {"items:\n- {name: a, share: 0, level: mid}", `f:11: items[0].level: got "mid": no such level`},
		"anchor":                    {"plain: &x a", "f:10: plain: got the anchor &x, expected a value without one"},
		"alias":                     {"log: &x a\nplain: *x", "f:10: log: got the anchor &x, expected a value without one\nf:11: plain: got the alias *x, expected the value itself"},
		"merge key":                 {"vars: {<<: {a: 1}}", "f:10: vars: got the merge key <<, expected the fields themselves"},
		"tag":                       {"plain: !!str 1", "f:10: plain: got the tag !!str, expected a value without one"},
		"number as a name":          {"vars: {1: x}", "f:10: vars: got the number 1 as the name of a field, expected a string"},
		"second document":           {"plain: a\n---\nplain: b", "f:11: a second document begins here, expected one"},
		"empty":                     {"# nothing\n", "f:10: empty document, expected fields: log, " + known},
		"only a marker":             {"---\n", "f:10: empty document, expected fields: log, " + known},
		"not a mapping":             {"- a", "f:10: got a list, expected fields: log, " + known},
		"not YAML":                  {"plain: a\nlog: 'x", "f:11: not YAML: found unexpected end of stream"},
		"a tab":                     {"vars:\n  a:\n\t b: c", "f:12: not YAML: found character that cannot start any token"},
		"not UTF-8":                 {"plain: a\nlog: \xff", "f:11: not YAML: text that is not UTF-8, or a control character"},
		"a control character":       {"plain: a\nlog: \x01", "f:11: not YAML: text that is not UTF-8, or a control character"},
		"a long value is cut":       {"time: " + strings.Repeat("x", 100), `f:10: time: got "` + strings.Repeat("x", 64) + `...", expected a time such as 2025-11-24T13:38:23Z`},
		"in the order of the lines": {"plain: 1\ncolour: red\nlog: 2", "f:10: plain: got the number 1, expected a string\nf:11: colour: unknown field; known: log, " + known + "\nf:12: log: got the number 2, expected a string"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := strict.Decode("f", 10, []byte(tt.doc), &config{})
			if err == nil {
				t.Fatalf("taken, want %s", tt.want)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var all *multierror.Error
			var p *strict.Problem
			if !errors.As(err, &all) || !errors.As(all.Errors[0], &p) {
				t.Errorf("got a %T, want a *multierror.Error of *strict.Problem", err)
			}
		})
	}
}

func TestProblem(t *testing.T) {
	tests := map[string]strict.Problem{
		"f:3: a.b: wrong": {File: "f", Line: 3, Field: "a.b", Message: "wrong"},
		"f: wrong":        {File: "f", Message: "wrong"},
		"a: wrong":        {Field: "a", Message: "wrong"},
		"f:1: wrong":      {File: "f", Line: 1, Message: "wrong"},
		"wrong":           {Message: "wrong"},
	}
	for want, p := range tests {
		if got := p.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := strict.Join(nil); err != nil {
		t.Errorf("got %v for no problems, want nil", err)
	}
}

func TestLine(t *testing.T) {
	doc := []byte("a: 1\nb:\n- x: 1\n  y:\n    - 5\n    - 6\n- {x: 2}\n")
	tests := map[string]int{
		"": 100, "a": 100, "b": 101, "b[0]": 102, "b[0].y": 103, "b[0].y[1]": 105, "b[1].x": 106,
		"b[0].z": 102, "b[7]": 101, "c.d[1]": 100,
	}
	for path, want := range tests {
		if got := strict.Line(doc, 100, path); got != want {
			t.Errorf("%q is on line %d, want %d", path, got, want)
		}
	}
	if got := strict.Line([]byte("\xff"), 5, "a"); got != 5 {
		t.Errorf("got %d for what is not YAML, want the first line", got)
	}
}

func TestBlank(t *testing.T) {
	for doc, want := range map[string]bool{"": true, "\n # a\n---\n": true, "a: 1": false, "# a\n b": false} {
		if got := strict.Blank([]byte(doc)); got != want {
			t.Errorf("%q: got %t, want %t", doc, got, want)
		}
	}
}

// Any text comes back from the scalar that it was written as.
func TestScalarText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(
			rapid.StringMatching(`[ -~é€\n]{0,20}`),
			rapid.SampledFrom([]string{"<<", "null", "1", "y", "~", "a: b", "a #b", "2025-11-24", "=", " ", "\n"}),
		).Draw(t, "text")
		text := strict.ScalarText(want)
		var got struct {
			K string `yaml:"k"`
		}
		if err := strict.Decode("f", 1, []byte("k: "+text+"\n"), &got); err != nil || got.K != want || strings.Contains(text, "\n") {
			t.Fatalf("%q became %s: %v %q", want, text, err, got.K)
		}
	})
	if got := strict.ScalarText("plain-text"); got != "plain-text" {
		t.Errorf("got %s, want no quotes", got)
	}
}

// Whatever strict takes without a problem, yaml.v3 reads as the same.
func FuzzDecode(f *testing.F) {
	for _, doc := range []string{"items:\n- {name: a, share: 1, words: [x]}", "vars: {a: 1}", "plain: a\n---\n", "log: &x a", "a: *x", "? a\n: b", "{", "\t"} {
		f.Add(doc)
	}
	type small struct {
		Plain string   `yaml:"plain"`
		Words []string `yaml:"words"`
		Num   float64  `yaml:"num"`
		Int   int      `yaml:"int"`
		On    bool     `yaml:"on"`
	}
	f.Fuzz(func(t *testing.T, doc string) {
		_ = strict.Decode("f", 1, []byte(doc), &config{})
		var got, want small
		if err := strict.Decode("f", 1, []byte(doc), &got); err != nil {
			return
		}
		if err := yaml.Unmarshal([]byte(doc), &want); err != nil {
			t.Fatalf("strict takes it, yaml does not: %v", err)
		}
		if diff := cmp.Diff(fmt.Sprintf("%#v", want), fmt.Sprintf("%#v", got)); diff != "" {
			t.Fatalf("(-yaml +strict):\n%s", diff)
		}
	})
}
