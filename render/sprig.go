package render

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// maxList is the most that a function may make of one number: list items,
// repetitions.
const maxList = 1 << 20

// sprigFuncs are sprig's functions less those that would make the same input
// give other bytes, quote in a way that nft does not know, change the data that
// they are given, or turn nonsense into 0 or an empty string.
func sprigFuncs() template.FuncMap {
	funcs := sprig.HermeticTxtFuncMap()
	for _, name := range unfit() {
		delete(funcs, name)
	}
	// mustX returns the error that X swallows.
	for name, f := range funcs {
		if strict, ok := strings.CutPrefix(name, "must"); ok && strict != "" {
			plain := strings.ToLower(strict[:1]) + strict[1:]
			if _, ok := funcs[plain]; ok {
				funcs[plain] = f
			}
		}
	}
	for name, f := range funcs {
		if slices.Contains(integral(), name) {
			funcs[name] = guarded(f, isInteger, "a whole number")
		}
		if slices.Contains(numeric(), name) {
			funcs[name] = guarded(f, isNumber, "a number")
		}
	}
	maps.Copy(funcs, strictFuncs())
	return funcs
}

// unfit names the functions of sprig that templates do not get.
func unfit() []string {
	return []string{
		// Other bytes each time, or keys and passwords, which no rule needs.
		"shuffle", "ago", "bcrypt", "htpasswd", "genPrivateKey", "derivePassword", "buildCustomCert",
		"genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert",
		"genSignedCertWithKey", "encryptAES", "decryptAES", "mustDateModify", "must_date_modify",
		"toDate", "mustToDate", "unixEpoch", "durationRound", "randInt", "hello",
		// Ends the process when it is given data that points back to itself, and
		// nobody needs copies of what cannot be changed.
		"deepCopy", "mustDeepCopy",
		// nft's strings know no escapes: use comment.
		"squote",
		// A template reads its data and never changes it.
		"set", "unset", "merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite",
		// Paths of the machine that renders have no place in a rule.
		"osBase", "osClean", "osDir", "osExt", "osIsAbs",
	}
}

func integral() []string {
	return []string{"add", "add1", "sub", "mul", "div", "mod", "max", "min", "biggest", "int", "int64"}
}

func numeric() []string {
	return []string{"float64", "addf", "add1f", "subf", "mulf", "divf", "maxf", "minf", "ceil", "floor", "round"}
}

// strictFuncs stand in the place of functions that are lenient by design.
func strictFuncs() template.FuncMap {
	return template.FuncMap{
		"quote":     comment,
		"atoi":      func(s string) (int, error) { return strconv.Atoi(s) },
		"toDecimal": func(s string) (int64, error) { return strconv.ParseInt(s, 8, 64) },
		"get":       get,
		"index":     index,
		"keys":      keys,
		"values":    values,
		"until":     func(n int) ([]int, error) { return untilStep(0, n, 1) },
		"untilStep": untilStep,
		"seq":       seq,
		"repeat":    repeat,
	}
}

// guarded calls f only when each argument passes.
func guarded(f any, pass func(any) bool, expected string) func(...any) (any, error) {
	return func(args ...any) (any, error) {
		for _, a := range args {
			if !pass(a) {
				return nil, fmt.Errorf("got %#v, expected %s", a, expected)
			}
		}
		return call(f, args)
	}
}

func call(f any, args []any) (any, error) {
	fn := reflect.ValueOf(f)
	if t := fn.Type(); len(args) < t.NumIn() && !t.IsVariadic() || len(args) > t.NumIn() && !t.IsVariadic() || len(args) < t.NumIn()-1 {
		return nil, fmt.Errorf("got %d arguments, expected %d", len(args), t.NumIn())
	}
	in := make([]reflect.Value, len(args))
	for i, a := range args {
		in[i] = reflect.ValueOf(a)
	}
	out := fn.Call(in)
	return out[0].Interface(), nil
}

func isInteger(v any) bool {
	switch r := reflect.ValueOf(v); {
	case r.IsValid() && (r.CanInt() || r.CanUint()):
		return true
	case r.IsValid() && r.CanFloat():
		return r.Float() == math.Trunc(r.Float()) && math.Abs(r.Float()) < 1<<53
	case r.IsValid() && r.Kind() == reflect.String:
		_, err := strconv.ParseInt(r.String(), 10, 64)
		return err == nil
	}
	return false
}

func isNumber(v any) bool {
	if r := reflect.ValueOf(v); r.IsValid() && r.CanFloat() {
		return !math.IsNaN(r.Float()) && !math.IsInf(r.Float(), 0)
	} else if r.IsValid() && r.Kind() == reflect.String {
		f, err := strconv.ParseFloat(r.String(), 64)
		return err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return isInteger(v)
}

func get(m map[string]any, key string) (any, error) {
	v, ok := m[key]
	if !ok {
		return nil, fmt.Errorf("no key %q among %s", key, strings.Join(slices.Sorted(maps.Keys(m)), ", "))
	}
	return v, nil
}

// index is text/template's own, but for a map without the key: that gives a
// zero there, which would be port 0 in a rule.
func index(item any, indexes ...any) (any, error) {
	for _, i := range indexes {
		v := reflect.Indirect(reflect.ValueOf(item))
		k := reflect.ValueOf(i)
		var next reflect.Value
		switch {
		case !v.IsValid() || !k.IsValid():
			return nil, fmt.Errorf("nothing to take %v of", i)
		case v.Kind() == reflect.Map && k.Type().AssignableTo(v.Type().Key()):
			next = v.MapIndex(k)
		case (v.Kind() == reflect.Slice || v.Kind() == reflect.Array || v.Kind() == reflect.String) && k.CanInt():
			if n := k.Int(); n >= 0 && n < int64(v.Len()) {
				next = v.Index(int(n))
			}
		default:
			return nil, fmt.Errorf("cannot take %v of a %s", i, v.Kind())
		}
		if !next.IsValid() {
			return nil, fmt.Errorf("nothing at %v", i)
		}
		item = next.Interface()
	}
	return item, nil
}

// keys and values are in the order of the keys, not in Go's random one.
func keys(ms ...map[string]any) []string {
	var all []string
	for _, m := range ms {
		all = append(all, slices.Sorted(maps.Keys(m))...)
	}
	return all
}

func values(m map[string]any) []any {
	var all []any
	for _, k := range keys(m) {
		all = append(all, m[k])
	}
	return all
}

func untilStep(start, stop, step int) ([]int, error) {
	var list []int
	for i := start; step >= 0 && i < stop || step < 0 && i > stop; i += step {
		if len(list) == maxList || step == 0 {
			return nil, fmt.Errorf("a list from %d to %d by %d is too long: expected at most %d items", start, stop, step, maxList)
		}
		list = append(list, i)
	}
	return list, nil
}

// seq is sprig's: like the command of that name, both ends included.
func seq(params ...int) (string, error) {
	first, step, last := 1, 1, 0
	switch len(params) {
	case 1:
		last = params[0]
	case 2:
		first, last = params[0], params[1]
	case 3:
		first, step, last = params[0], params[1], params[2]
	default:
		return "", fmt.Errorf("got %d numbers, expected 1 to 3", len(params))
	}
	if len(params) < 3 && last < first {
		step = -1
	}
	end := last + 1
	if step < 0 {
		end = last - 1
	}
	list, err := untilStep(first, end, step)
	return strings.Trim(fmt.Sprint(list), "[]"), err
}

func repeat(count int, s string) (string, error) {
	if count < 0 || count > maxList/max(1, len(s)) {
		return "", fmt.Errorf("%d times %d bytes: expected at most %d bytes", count, len(s), maxList)
	}
	return strings.Repeat(s, count), nil
}
