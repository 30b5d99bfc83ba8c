package strict

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// decoder walks over the nodes of one document and collects its problems.
type decoder struct {
	file     string
	first    int
	problems []*Problem
	fields   map[reflect.Type]*fields
}

// add notes a problem at a line of the document, which counts from 1.
func (d *decoder) add(line int, path, format string, args ...any) {
	if line > 0 {
		line += d.first - 1
	}
	d.problems = append(d.problems, &Problem{File: d.file, Line: line, Field: path, Message: fmt.Sprintf(format, args...)})
}

// mismatch notes that a value is not what the field takes.
func (d *decoder) mismatch(n *yaml.Node, path, expected string) {
	d.add(n.Line, path, "got %s, expected %s", describe(n), expected)
}

// value decodes a node into a settable value.
func (d *decoder) value(n *yaml.Node, path string, into reflect.Value, lim limits) {
	if d.refused(n, path) {
		return
	}
	if isText(into) {
		d.text(n, path, into)
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		target := reflect.New(into.Type().Elem())
		d.value(n, path, target.Elem(), lim)
		into.Set(target)
	case reflect.Struct:
		d.structure(n, path, into)
	case reflect.Slice:
		d.list(n, path, into, lim)
	case reflect.Map:
		d.mapping(n, path, into, lim)
	case reflect.Interface:
		d.untyped(n, path, into)
	default:
		d.scalar(n, path, into, lim)
	}
}

// refused notes YAML features that a strict document may not use: they make one
// place of a file change another, or change the type of a value.
func (d *decoder) refused(n *yaml.Node, path string) bool {
	before := len(d.problems)
	if n.Kind == yaml.AliasNode {
		d.add(n.Line, path, "got the alias *%s, expected the value itself", n.Value)
	}
	if n.Anchor != "" {
		d.add(n.Line, path, "got the anchor &%s, expected a value without one", n.Anchor)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.add(n.Line, path, "got the tag %s, expected a value without one", n.Tag)
	}
	return len(d.problems) > before
}

// structure decodes a mapping into a struct.
func (d *decoder) structure(n *yaml.Node, path string, into reflect.Value) {
	known := d.fieldsOf(into.Type())
	if n.Kind != yaml.MappingNode {
		d.mismatch(n, path, "fields: "+strings.Join(known.names, ", "))
		return
	}
	seen := d.entries(n, path, func(key, value *yaml.Node) {
		f, ok := known.byName[key.Value]
		if !ok {
			d.add(key.Line, join(path, key.Value), "unknown field%s", suggestOr(key.Value, known.names))
			return
		}
		d.value(value, join(path, key.Value), into.FieldByIndex(f.index), f.limits)
	})
	for _, name := range known.names {
		if f := known.byName[name]; f.required && !seen[name] {
			d.add(n.Line, join(path, name), "missing, expected %s", d.expected(f.typ, f.limits))
		}
	}
}

// entries calls each with the pairs of a mapping that have a usable key, and
// returns the keys that it saw.
func (d *decoder) entries(n *yaml.Node, path string, each func(key, value *yaml.Node)) map[string]bool {
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind == yaml.ScalarNode && key.Tag == "!!merge":
			d.add(key.Line, path, "got the merge key <<, expected the fields themselves")
		case d.refused(key, path):
		case key.Kind != yaml.ScalarNode || key.Tag != "!!str":
			d.add(key.Line, path, "got %s as the name of a field, expected a string", describe(key))
		case lines[key.Value] > 0:
			d.add(key.Line, join(path, key.Value), "duplicate field, the first is on line %d", lines[key.Value]+d.first-1)
		default:
			lines[key.Value] = key.Line
			each(key, value)
		}
	}
	seen := make(map[string]bool, len(lines))
	for name := range lines {
		seen[name] = true
	}
	return seen
}

func (d *decoder) list(n *yaml.Node, path string, into reflect.Value, lim limits) {
	if n.Kind != yaml.SequenceNode {
		d.mismatch(n, path, d.expected(into.Type(), lim))
		return
	}
	out := reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, path+"["+strconv.Itoa(i)+"]", out.Index(i), lim)
	}
	into.Set(out)
}

func (d *decoder) mapping(n *yaml.Node, path string, into reflect.Value, lim limits) {
	if n.Kind != yaml.MappingNode || into.Type().Key().Kind() != reflect.String {
		d.mismatch(n, path, d.expected(into.Type(), lim))
		return
	}
	out := reflect.MakeMapWithSize(into.Type(), len(n.Content)/2)
	d.entries(n, path, func(key, value *yaml.Node) {
		v := reflect.New(into.Type().Elem()).Elem()
		d.value(value, join(path, key.Value), v, lim)
		out.SetMapIndex(reflect.ValueOf(key.Value).Convert(into.Type().Key()), v)
	})
	into.Set(out)
}

// untyped decodes into an empty interface: mappings become map[string]any, lists
// []any, scalars string, bool, int, float64 or nil.
func (d *decoder) untyped(n *yaml.Node, path string, into reflect.Value) {
	var target reflect.Value
	switch {
	case into.NumMethod() > 0:
		d.mismatch(n, path, "nothing: "+into.Type().String()+" cannot be decoded")
		return
	case n.Kind == yaml.MappingNode:
		target = reflect.ValueOf(&map[string]any{})
	case n.Kind == yaml.SequenceNode:
		target = reflect.ValueOf(&[]any{})
	case n.Tag == "!!null":
		into.SetZero()
		return
	case n.Tag == "!!bool":
		target = reflect.ValueOf(new(bool))
	case n.Tag == "!!int":
		target = reflect.ValueOf(new(int))
	case n.Tag == "!!float":
		target = reflect.ValueOf(new(float64))
	default:
		into.Set(reflect.ValueOf(n.Value))
		return
	}
	d.value(n, path, target.Elem(), limits{})
	into.Set(target.Elem())
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
