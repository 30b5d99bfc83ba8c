package strict

import (
	"encoding"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Expecter is implemented by types with UnmarshalText that say in words which
// texts they take: "got "x", expected ...".
type Expecter interface{ Expected() string }

// isText reports whether a value is decoded from the text of a scalar by itself.
func isText(v reflect.Value) bool {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return true
	}
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

func (d *decoder) text(n *yaml.Node, path string, into reflect.Value) {
	expected := d.expected(into.Type(), limits{})
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.mismatch(n, path, expected)
		return
	}
	err := setText(into, n.Value)
	switch {
	case err == nil:
	case expected == "":
		d.add(n.Line, path, "got %s: %v", Quote(n.Value), err)
	default:
		d.add(n.Line, path, "got %s, expected %s", Quote(n.Value), expected)
	}
}

func setText(into reflect.Value, text string) error {
	switch target := into.Addr().Interface().(type) {
	case *time.Duration:
		v, err := time.ParseDuration(text)
		*target = v
		return err
	case encoding.TextUnmarshaler:
		return target.UnmarshalText([]byte(text))
	}
	return nil
}

// scalar decodes strings, booleans and numbers.
func (d *decoder) scalar(n *yaml.Node, path string, into reflect.Value, lim limits) {
	ok := n.Kind == yaml.ScalarNode
	if ok {
		switch into.Kind() {
		case reflect.String:
			ok = n.Tag == "!!str" || n.Tag == "!!timestamp"
			into.SetString(n.Value)
		case reflect.Bool:
			ok = n.Tag == "!!bool" && (n.Value == "true" || n.Value == "false")
			into.SetBool(n.Value == "true")
		default:
			ok = setNumber(n, into, lim)
		}
	}
	if !ok {
		d.mismatch(n, path, d.expected(into.Type(), lim))
	}
}

// setNumber takes numbers as people write them, in decimal: not 0x1f, 0o17, 017
// or 1_000, of which YAML and its readers have different opinions.
func setNumber(n *yaml.Node, into reflect.Value, lim limits) bool {
	if n.Tag != "!!int" && n.Tag != "!!float" || !isDecimal(n.Value) {
		return false
	}
	bits := 0
	if into.Kind() >= reflect.Int && into.Kind() <= reflect.Float64 {
		bits = into.Type().Bits()
	}
	switch into.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v, err := strconv.ParseInt(n.Value, 10, bits)
		into.SetInt(v)
		return err == nil && lim.hold(float64(v))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v, err := strconv.ParseUint(n.Value, 10, bits)
		into.SetUint(v)
		return err == nil && lim.hold(float64(v))
	case reflect.Float32, reflect.Float64:
		v, err := strconv.ParseFloat(n.Value, bits)
		into.SetFloat(v)
		return err == nil && !math.IsInf(v, 0) && lim.hold(v)
	}
	return false
}

func isDecimal(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return false
	}
	return strings.Trim(digits, "0123456789.eE+-") == ""
}

// describe names a value as its author sees it.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "the alias *" + n.Value
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!int", n.Tag == "!!float":
		return "the number " + clip(n.Value)
	case n.Tag == "!!bool":
		return "the boolean " + clip(n.Value)
	case n.Tag == "!!timestamp":
		return "the time " + clip(n.Value)
	}
	return "the string " + Quote(n.Value)
}

// longest is how many characters of a value a message repeats.
const longest = 64

// Quote repeats a value in a message: in quotes, on one line, and not at length.
func Quote(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string {
	if utf8.RuneCountInString(s) <= longest {
		return s
	}
	return string([]rune(s)[:longest]) + "..."
}

// expected says in words what a field of a type takes; empty if only its
// UnmarshalText knows.
func (d *decoder) expected(t reflect.Type, lim limits) string {
	if words := expectedText(t); words != "" {
		return words
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.expected(t.Elem(), lim)
	case reflect.Struct:
		return d.expectedFields(t)
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "a mapping"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	}
	return expectedNumber(t, lim)
}

func expectedText(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[netip.Addr]():
		return "an IP address such as 10.34.4.141"
	case reflect.TypeFor[netip.AddrPort]():
		return "an address and port such as 10.34.4.141:8080"
	case reflect.TypeFor[netip.Prefix]():
		return "a network such as 10.42.0.0/16"
	case reflect.TypeFor[time.Time]():
		return "a time such as 2025-11-24T13:38:23Z"
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 30s or 5m"
	}
	if e, ok := reflect.New(t).Interface().(Expecter); ok {
		return e.Expected()
	}
	return ""
}

func (d *decoder) expectedFields(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return "a value"
	}
	return "fields: " + strings.Join(d.fieldsOf(t).names, ", ")
}
