package ruleset

import "strings"

// references is what text can refer to.
type references struct {
	chains, sets map[string]any
	objects      map[string][]any
}

func newReferences() *references {
	return &references{map[string]any{}, map[string]any{}, map[string][]any{}}
}

func (r *references) add(block any) {
	switch b := block.(type) {
	case *Chain:
		r.chains[b.Name] = b
	case *Set:
		r.sets[b.Name] = b
	case *Object:
		r.objects[b.Name] = append(r.objects[b.Name], b)
	}
}

// in calls a function with each block that a rule or the value of an element
// refers to: a chain behind jump or goto, a set behind @, an object by any word
// that is its name.
func (r *references) in(text string, f func(block any)) {
	lex := lexer{text: text}
	var before token
	for t := lex.next(); t.kind != endOfText; before, t = t, lex.next() {
		switch name := strings.Trim(t.text, `"`); {
		case before.is("jump"), before.is("goto"):
			call(f, r.chains[name])
		case before.is("@"):
			call(f, r.sets[name])
			call(f, r.objects[name]...)
		case t.kind == word || t.kind == quoted:
			call(f, r.objects[name]...)
		}
	}
}

func call(f func(block any), blocks ...any) {
	for _, b := range blocks {
		if b != nil {
			f(b)
		}
	}
}

// inBlock is in for all that a block refers to.
func (r *references) inBlock(block any, f func(block any)) {
	switch b := block.(type) {
	case *Chain:
		for i := range b.Rules {
			r.in(b.Rules[i].Text, f)
		}
	case *Set:
		for _, e := range b.Elements {
			if e.Value != "" {
				r.in(e.Value, f)
			}
		}
	}
}

// usersFirst sorts blocks so that none stands behind one that it refers to: the
// kernel refuses to delete what something refers to.
func usersFirst(blocks []any) []any {
	if len(blocks) < 2 {
		return blocks
	}
	refs := newReferences()
	for _, b := range blocks {
		refs.add(b)
	}
	sorted := make([]any, len(blocks))
	free := len(blocks)
	seen := map[any]bool{}
	var visit func(block any)
	visit = func(block any) {
		if seen[block] {
			return
		}
		seen[block] = true
		refs.inBlock(block, visit)
		free--
		sorted[free] = block
	}
	for i := len(blocks) - 1; i >= 0; i-- {
		visit(blocks[i])
	}
	return sorted
}
