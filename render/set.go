package render

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"

	"weft/state"
	"weft/state/strict"
	"weft/templates"
)

// Auto is the name of the set that chooses one of the shipped sets by the size
// of the state.
const Auto = "auto"

// autoLimit is the number of steered ServicePorts up to which [Auto] takes the
// set that is read more easily.
const autoLimit = 64

// varsFile declares a set's own vars with their defaults.
const varsFile = "vars.yaml"

// Set is a parsed template set, ready to render any number of states. It never
// changes, so several goroutines may use it.
type Set struct {
	// Name is the shipped set's name or the folder.
	Name string
	// Files are the templates that the set was parsed from.
	Files []templates.File
	// Declared are the vars that the set itself adds, with their defaults.
	Declared Vars
	// Contract is the one that the set was written for, 1 to [Contract].
	Contract int

	auto  map[string]func() (*Set, error) // of [Auto]: what it chooses from, parsed when chosen
	main  *template.Template
	woven *template.Template
	sites []site
}

// Load reads a set by name: [Auto], one of the shipped sets, or a folder. A
// name with a path separator is a folder; a bare name is one only when no
// shipped set has it.
func Load(name string) (*Set, error) {
	if name == Auto {
		return loadAuto(), nil
	}
	if slices.Contains(templates.Names(), name) {
		files, err := templates.Files(name)
		if err != nil {
			return nil, err
		}
		return Parse(name, files, nil)
	}
	return loadFolder(name)
}

// Same reports whether both sets were made of the same files, so that they render
// the same.
func (s *Set) Same(other *Set) bool {
	return s == other || other != nil && s.Name == other.Name && s.Contract == other.Contract &&
		slices.Equal(s.Files, other.Files) && reflect.DeepEqual(s.Declared, other.Declared)
}

func loadAuto() *Set {
	set := &Set{Name: Auto, Contract: Contract, auto: map[string]func() (*Set, error){}}
	for _, name := range templates.Names() {
		set.auto[name] = sync.OnceValues(func() (*Set, error) { return Load(name) })
	}
	return set
}

func loadFolder(name string) (*Set, error) {
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() {
		err = errors.New("not a folder")
	}
	if err != nil {
		return nil, fmt.Errorf("template set %q: expected a folder or one of %s, %s: %w", name, Auto, strings.Join(templates.Names(), ", "), err)
	}
	folder := os.DirFS(name)
	files, err := templates.Read(folder, ".")
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i].Name = filepath.Join(name, files[i].Name)
	}
	declared, err := readVars(folder, filepath.Join(name, varsFile))
	if err != nil {
		return nil, err
	}
	return Parse(name, files, declared)
}

func readVars(folder fs.FS, name string) (Vars, error) {
	text, err := fs.ReadFile(folder, varsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the vars of the template set: %w", err)
	}
	return ParseVars(name, text)
}

// ParseVars reads a YAML file of vars, a mapping of names to values. An empty
// file has none.
func ParseVars(file string, text []byte) (Vars, error) {
	vars := Vars{}
	if len(strings.TrimSpace(string(text))) == 0 {
		return vars, nil
	}
	return vars, strict.Decode(file, 1, text, (*map[string]any)(&vars))
}

// Parse makes a set of templates. The names of files appear in errors; the one
// that is executed must be called ruleset.nft.tmpl. declared are the set's own
// vars, which may be nil.
func Parse(name string, files []templates.File, declared Vars) (*Set, error) {
	contract, err := contractOf(files)
	if err != nil {
		return nil, err
	}
	set := &Set{Name: name, Files: files, Declared: declared, Contract: contract}
	root := template.New(name).Option("missingkey=error").Funcs(placeholders())
	defined := map[string]string{}
	for _, f := range files {
		trees, err := parseFile(f)
		if err != nil {
			return nil, set.parseError(err)
		}
		for _, t := range slices.Sorted(maps.Keys(trees)) {
			if other, ok := defined[t]; ok {
				return nil, fmt.Errorf("parse template set: %s: %q is defined already in %s", f.Name, t, other)
			}
			defined[t] = f.Name
			if _, err := root.AddParseTree(t, trees[t]); err != nil {
				return nil, fmt.Errorf("parse template %s: %w", f.Name, err)
			}
			if filepath.Base(t) == templates.Main {
				set.main = root.Lookup(t)
			}
		}
	}
	if set.main == nil {
		return nil, fmt.Errorf("template set %s: no %s, which is what is executed", name, templates.Main)
	}
	set.woven, set.sites, err = weave(set.main)
	return set, err
}

// parseFile parses one file on its own, so that a name defined in two files is
// seen: text/template would let the last one win.
func parseFile(f templates.File) (map[string]*parse.Tree, error) {
	t, err := template.New(f.Name).Funcs(publicFuncs()).Parse(f.Text)
	if err != nil {
		return nil, err
	}
	if strings.Contains(f.Text, "$"+reserved) {
		return nil, fmt.Errorf("template: %s:1: names that begin with %s are weft's own", f.Name, reserved)
	}
	trees := map[string]*parse.Tree{}
	for _, each := range t.Templates() {
		if each.Tree == nil {
			continue
		}
		if slices.ContainsFunc(append(calls(each.Tree.Root), each.Name()), isReserved) {
			return nil, fmt.Errorf("template: %s:1: names that begin with %s are weft's own", f.Name, reserved)
		}
		bound(each.Tree.Root)
		trees[each.Name()] = each.Tree
	}
	return trees, nil
}

func isReserved(name string) bool { return strings.HasPrefix(name, reserved) }

// choose is the set itself, or for [Auto] the one that the state's size asks for.
func (s *Set) choose(st *state.State) (*Set, error) {
	if s.auto == nil {
		return s, nil
	}
	steered := 0
	for _, p := range st.ServicePorts {
		if p.Steered() {
			steered++
		}
	}
	if steered <= autoLimit {
		return s.auto[templates.Simplified]()
	}
	return s.auto[templates.Cascade]()
}

// Shipped says whether the set is one of weft's own.
func (s *Set) Shipped() bool { return s.Name == Auto || slices.Contains(templates.Names(), s.Name) }

// source is the text of one of the set's files, or empty.
func (s *Set) source(file string) string {
	for _, f := range s.Files {
		if f.Name == file {
			return f.Text
		}
	}
	return ""
}

// placeholders are all functions that parsed templates may call. Those that need
// what is known only when a state is rendered are bound then.
func placeholders() template.FuncMap {
	funcs := publicFuncs()
	for _, name := range []string{tickFunc, markFunc, callFunc, returnFunc, eachFunc, intoFunc, bindFunc, onceFunc} {
		funcs[name] = func() string { return "" }
	}
	return funcs
}

// publicFuncs are those that users may name.
func publicFuncs() template.FuncMap {
	funcs := sprigFuncs()
	maps.Copy(funcs, domainFuncs(DefaultVars()))
	funcs["include"] = (&execution{}).include
	return funcs
}
