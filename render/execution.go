package render

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"text/template"

	"weft/state"
)

// execution is one run of a set for one state.
type execution struct {
	ctx   context.Context
	set   *Set
	vars  Vars
	data  *Data
	root  *template.Template
	depth int
	// marks is nil in the usual run, which leaves none.
	marks *marks
}

// render executes the set and looks for what should not be in the output. On
// failure it executes it again with marks, to know which ServicePort was in hand.
func (x *execution) render() (string, *Error) {
	text, err := x.execute()
	if err != nil {
		return "", x.explain(err)
	}
	at, what := residue(text)
	if what == "" {
		return text, nil
	}
	r := NewResult(x.set.Name, text)
	r.origins = func() []Origin { return x.origins(text) }
	line := 1 + strings.Count(text[:at], "\n")
	// The number of the line would say nothing: nobody gets to see the text.
	failed := r.at(line, fmt.Sprintf("the output holds %q, which a template prints for a value that is not there or not of the kind it formats\n  rendered: %s", what, r.line(line)))
	failed.source = x.set.source(failed.File)
	return "", failed
}

func (x *execution) execute() (string, error) {
	root, err := x.set.main.Clone()
	if err != nil {
		return "", fmt.Errorf("copy template set: %w", err)
	}
	x.root = root
	if x.marks != nil {
		if err := x.marks.instrument(root); err != nil {
			return "", err
		}
	}
	funcs := domainFuncs(x.vars)
	maps.Copy(funcs, x.funcs())
	out := &limited{ctx: x.ctx}
	err = root.Funcs(funcs).Execute(out, x.data)
	return out.String(), err
}

// funcs are the functions that belong to one execution.
func (x *execution) funcs() template.FuncMap {
	return template.FuncMap{
		"include":  x.include,
		tickFunc:   func() (string, error) { return "", x.ctx.Err() },
		markFunc:   func(id int, dot any) string { return x.marks.mark(id, dot) },
		callFunc:   func() string { return x.marks.enter() },
		returnFunc: func() string { return x.marks.leave() },
	}
}

// include executes a partial and gives its output as a value, as helm's does.
// It is how a set should call the partial of a ServicePort: what a partial
// prints depends on its argument alone.
func (x *execution) include(name string, dot any) (string, error) {
	if x.depth >= maxDepth {
		return "", tooDeep(x.depth)
	}
	partial := x.root.Lookup(name)
	if partial == nil || strings.HasPrefix(name, reserved) {
		return "", noPartial(name)
	}
	x.depth++
	defer func() { x.depth-- }()
	if x.marks != nil {
		x.marks.enter()
	}
	out := &limited{ctx: x.ctx}
	if err := partial.Execute(out, dot); err != nil {
		return "", err
	}
	if x.marks != nil {
		out.WriteString(x.marks.leave())
	}
	return out.String(), nil
}

func tooDeep(depth int) error {
	return fmt.Errorf("%d partials deep: expected at most %d, does it include itself?", depth, maxDepth)
}

func noPartial(name string) error { return fmt.Errorf("no partial is named %q", name) }

// explain finds out what was in hand when the set failed.
func (x *execution) explain(err error) *Error {
	failed := x.set.located(err)
	watched := &execution{ctx: x.ctx, set: x.set, vars: x.vars, data: x.data, marks: &marks{}}
	if _, again := watched.execute(); again == nil {
		return failed // it fails only unwatched, so the marks say nothing of it
	}
	now := watched.marks.current()
	if failed.Line == 0 { // not the template failed, but a limit ended it
		failed.Place = Place{now.File, now.Line}
		failed.source = x.set.source(now.File)
	}
	failed.Calls = now.Calls
	failed.record = now.ServicePort
	if failed.record != nil {
		failed.ServicePort = failed.record.ID()
	}
	return failed
}

// origins are those of the lines of a text that the set was rendered to; nil if
// they cannot be told.
func (x *execution) origins(text string) []Origin {
	watched := &execution{ctx: context.WithoutCancel(x.ctx), set: x.set, vars: x.vars, data: x.data, marks: &marks{}}
	marked, err := watched.execute()
	if err != nil {
		return nil
	}
	plain, origins := watched.marks.strip(marked)
	if plain != text {
		return nil // a function looked at the marks: no line can be trusted
	}
	return origins
}

// recordOf is the ServicePort that a template's dot belongs to. known is false
// where the dot could belong to any.
func recordOf(dot any) (record *state.ServicePort, known bool) {
	switch v := dot.(type) {
	case *ServicePort:
		return v.origin, true
	case *Endpoint:
		return v.servicePort.origin, true
	case Slots:
		return v.endpoint.servicePort.origin, true
	case Pick:
		return v.endpoint.servicePort.origin, true
	case *Data, *Family, []*Family, []*ServicePort:
		return nil, true
	}
	return nil, false
}

// numberLines gives each line of a text the origin that was in force where its
// first character stood.
func numberLines(text string, at func(offset int) Origin) []Origin {
	var origins []Origin
	offset := 0
	for line := range strings.SplitSeq(text, "\n") {
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		origins = append(origins, at(offset+indent))
		offset += len(line) + 1
	}
	return origins
}
