package strict

import (
	"cmp"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// fields are what a struct type says about a mapping.
type fields struct {
	byName map[string]field
	names  []string // in the order of the struct
}

type field struct {
	index    []int
	typ      reflect.Type
	required bool
	limits   limits
}

// limits are the least and the greatest number that a field takes.
type limits struct{ min, max *float64 }

func (l limits) hold(v float64) bool {
	return (l.min == nil || v >= *l.min) && (l.max == nil || v <= *l.max)
}

// fieldsOf reads the tags of a struct type, once for each document.
func (d *decoder) fieldsOf(t reflect.Type) *fields {
	if f, ok := d.fields[t]; ok {
		return f
	}
	f := &fields{byName: map[string]field{}}
	f.collect(t, nil)
	d.fields[t] = f
	return f
}

func (f *fields) collect(t reflect.Type, index []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		at := append(append([]int(nil), index...), i)
		switch {
		case name == "-" || !sf.IsExported():
		case strings.Contains(options, "inline"):
			f.collect(sf.Type, at)
		default:
			if name == "" {
				name = strings.ToLower(sf.Name) // as yaml.v3 does
			}
			f.names = append(f.names, name)
			f.byName[name] = newField(sf, at)
		}
	}
}

func newField(sf reflect.StructField, index []int) field {
	f := field{index: index, typ: sf.Type}
	for option := range strings.SplitSeq(sf.Tag.Get("strict"), ",") {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "required":
			f.required = true
		case "min":
			f.limits.min = number(value)
		case "max":
			f.limits.max = number(value)
		}
	}
	return f
}

func number(text string) *float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return &v
}

// expectedNumber words the numbers that a type and its limits leave.
func expectedNumber(t reflect.Type, lim limits) string {
	low, high := lim.min, lim.max
	what := "a number"
	if t.Kind() != reflect.Float64 && t.Kind() != reflect.Float32 {
		what = "a whole number"
		low, high = tighten(t, lim)
	}
	switch {
	case low != nil && high != nil:
		return what + " from " + decimal(*low) + " to " + decimal(*high)
	case low != nil:
		return what + " of at least " + decimal(*low)
	case high != nil:
		return what + " of at most " + decimal(*high)
	}
	return what
}

// tighten adds the range of a small integer type to the limits.
func tighten(t reflect.Type, lim limits) (low, high *float64) {
	low, high = lim.min, lim.max
	unsigned := t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64
	if low == nil && unsigned {
		low = new(float64)
	}
	if high == nil && unsigned && t.Bits() <= 32 {
		v := math.Exp2(float64(t.Bits())) - 1
		high = &v
	}
	return low, high
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// Suggest says which of the known names may have been meant, as the end of a
// sentence; empty if none is near.
func Suggest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return `, did you mean "` + k + `"?`
		}
		if n := distance(name, k); n < least && n < len(k) {
			best, least = k, n
		}
	}
	if best == "" {
		return ""
	}
	return `, did you mean "` + best + `"?`
}

// suggestOr lists all that are known where none is near.
func suggestOr(name string, known []string) string {
	return cmp.Or(Suggest(name, known), "; known: "+strings.Join(known, ", "))
}

// distance is the Levenshtein distance of two names; long ones are never near.
func distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
