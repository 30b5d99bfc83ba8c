package render

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync/atomic"
	"text/template"
)

// loom executes the woven form of a set, again and again, and keeps what each
// entry wrote. An entry is what a template writes for one item: the body of a
// range, or a partial that is included for a ServicePort.
type loom struct {
	set          *Set
	vars         Vars
	woven, plain *template.Template
	view         *view
	ranges       []rangeMemory
	partials     map[string]int // the sites of partials: below 0
	run          uint64         // the number of the execution
	changed      [dependencies]uint64

	ctx      context.Context
	out      *output
	depth    int
	frames   []frame // the entries that are being executed, innermost last
	binding  []any   // the index and the variables of the entry that begins
	scratch  []*limited
	last     *output  // that was good
	lastRun  uint64   // whose it is
	spare    []string // room for the texts between entries
	executed int      // entries, so far
	// apart notes what a crew asks for, while there is one.
	apart   *atomic.Uint32
	culprit *ServicePort // for which alone a template failed
}

// frame is an entry while it is executed.
type frame struct {
	depends dependency
	base    int // partials around it
	deepest int
}

// rangeMemory is what a loom knows of a site.
type rangeMemory struct {
	keys numbers
	// open says that its entries depend on other ServicePorts: then they are no
	// entries, so that those inside it can be some.
	open  bool
	tried bool
	// others says that some entry for a ServicePort does.
	others bool
	lists  []listMemory // of each time that it was executed
	run    uint64
	next   int // of lists
}

func newLoom(set *Set, node string, vars Vars) (*loom, error) {
	l := &loom{set: set, vars: vars, partials: map[string]int{}, ranges: make([]rangeMemory, len(set.sites)), last: &output{}}
	l.view = newView(node, vars, l.asked)
	var err error
	if l.woven, err = l.bound(set.woven, l.include); err != nil {
		return nil, err
	}
	l.plain, err = l.bound(set.main, l.plainInclude)
	return l, err
}

// bound is a copy of a form with the functions of this loom.
func (l *loom) bound(form *template.Template, include func(string, any) (string, error)) (*template.Template, error) {
	root, err := form.Clone()
	if err != nil {
		return nil, fmt.Errorf("copy template set: %w", err)
	}
	funcs := domainFuncs(l.vars)
	maps.Copy(funcs, template.FuncMap{
		"include": include,
		intoFunc:  l.into,
		eachFunc:  l.each,
		bindFunc:  func(i int) any { return l.binding[i] },
		onceFunc:  func(item any) []any { return []any{item} },
		tickFunc:  func() (string, error) { return "", l.ctx.Err() },
	})
	return root.Funcs(funcs), nil
}

// weave executes the set once.
func (l *loom) weave(ctx context.Context, changed dependency) (*output, error) {
	l.run++
	for i := range l.changed {
		if changed&(1<<i) != 0 {
			l.changed[i] = l.run
		}
	}
	l.ctx, l.depth, l.frames, l.culprit = ctx, 0, l.frames[:0], nil
	room := len(l.last.parts) + len(l.last.parts)/64 + 1
	l.out = &output{
		limited: limited{ctx: ctx}, last: l.last,
		parts: make([]string, 0, room), entries: make([]bool, 0, room), between: l.spare[:0],
	}
	l.spare = nil
	if err := l.woven.Execute(l.out, l.view.data); err != nil {
		return nil, err
	}
	l.out.close()
	l.out.last = nil // or each would hold all before it
	return l.out, nil
}

// took notes that an output is good: the next may repeat parts of it.
func (l *loom) took(out *output) {
	clear(l.last.between)
	l.spare = l.last.between
	l.last, l.lastRun = out, l.run
}

// asked notes that a template asked for what may change.
func (l *loom) asked(d dependency) {
	if l.apart != nil {
		l.apart.Or(uint32(d))
		return
	}
	if n := len(l.frames); n > 0 {
		l.frames[n-1].depends |= d
	}
}

// isRight reports whether what was kept is what the templates would write now.
func (l *loom) isRight(k *kept) bool {
	if k == nil || l.depth+k.height > maxDepth {
		return false
	}
	if l.changedSince(k.depends, k.run) {
		return false
	}
	k.run = l.run
	return true
}

// changedSince reports whether any of the data is other than in an execution.
func (l *loom) changedSince(d dependency, run uint64) bool {
	for i := range l.changed {
		if d&(1<<i) != 0 && l.changed[i] > run {
			return true
		}
	}
	return false
}

// entry executes a template for one item. The error is in what it gives, too.
func (l *loom) entry(k kept, execute func(out *limited) error) kept {
	l.executed++
	l.frames = append(l.frames, frame{base: l.depth, deepest: l.depth})
	out := l.buffer()
	k.err = execute(out)
	k.text = out.String()
	l.release(out)
	f := l.frames[len(l.frames)-1]
	l.frames = l.frames[:len(l.frames)-1]
	l.depth = f.base
	k.ending, k.depends, k.height, k.run = endingOf(k.text), f.depends, f.deepest-f.base, l.run
	k.alone = k.alone && k.depends == 0
	return k
}

func (l *loom) buffer() *limited {
	if n := len(l.scratch); n > 0 {
		b := l.scratch[n-1]
		l.scratch = l.scratch[:n-1]
		b.ctx = l.ctx
		return b
	}
	return &limited{ctx: l.ctx}
}

func (l *loom) release(b *limited) {
	if b.Cap() > 1<<20 {
		b.Buffer = bytes.Buffer{}
	}
	b.Reset()
	l.scratch = append(l.scratch, b)
}

// enter goes into a partial. What is returned goes back.
func (l *loom) enter(form *template.Template, name string) (*template.Template, func(), error) {
	if l.depth >= maxDepth {
		return nil, nil, tooDeep(l.depth)
	}
	partial := form.Lookup(name)
	if partial == nil || strings.HasPrefix(name, reserved) {
		return nil, nil, noPartial(name)
	}
	l.depth++
	if n := len(l.frames); n > 0 {
		l.frames[n-1].deepest = max(l.frames[n-1].deepest, l.depth)
	}
	return partial, func() { l.depth-- }, nil
}

// into writes what a partial makes to where the call stands.
func (l *loom) into(name string, dot any) (string, error) {
	if p, ok := dot.(*ServicePort); ok {
		k, err := l.partial(name, p)
		if err != nil {
			return "", err
		}
		return "", l.out.emit(k, p)
	}
	partial, back, err := l.enter(l.woven, name)
	if err != nil {
		return "", err
	}
	defer back()
	return "", partial.Execute(l.out, dot)
}

// include gives what a partial makes as a value.
func (l *loom) include(name string, dot any) (string, error) {
	if p, ok := dot.(*ServicePort); ok {
		k, err := l.partial(name, p)
		if err != nil {
			return "", err
		}
		return k.text, nil
	}
	partial, back, err := l.enter(l.woven, name)
	if err != nil {
		return "", err
	}
	defer back()
	outside := l.out
	l.out = &output{limited: limited{ctx: l.ctx}, whole: true}
	defer func() { l.out = outside }()
	err = partial.Execute(l.out, dot)
	return l.out.String(), err
}

// plainInclude is include inside an entry, of which nothing is kept by itself.
func (l *loom) plainInclude(name string, dot any) (string, error) {
	partial, back, err := l.enter(l.plain, name)
	if err != nil {
		return "", err
	}
	defer back()
	out := l.buffer()
	defer l.release(out)
	err = partial.Execute(out, dot)
	return out.String(), err
}

// partial gives what a partial writes for a ServicePort.
func (l *loom) partial(name string, p *ServicePort) (*kept, error) {
	id, ok := l.partials[name]
	if !ok {
		id = -1 - len(l.partials)
		l.partials[name] = id
	}
	k := p.find(id, 0, 0)
	if l.isRight(k) {
		return k, l.failed(k, p)
	}
	k = l.keep(p, l.entry(kept{site: id, alone: true}, func(out *limited) error {
		partial, back, err := l.enter(l.plain, name)
		if err != nil {
			return err
		}
		defer back()
		return partial.Execute(out, p)
	}))
	return k, l.failed(k, p)
}

// keep keeps an entry, unless it failed because the time is over.
func (l *loom) keep(p *ServicePort, k kept) *kept {
	if k.err != nil && l.ctx.Err() != nil {
		k.alone = false
		return &k
	}
	return p.keep(k)
}

// failed is the error of an entry. It notes for which ServicePort it is.
func (l *loom) failed(k *kept, p *ServicePort) error {
	if k.err != nil && k.alone {
		l.culprit = p
	}
	return k.err
}

// each writes the entries of a range, and reports whether it did: for what is not
// made for it, the range itself has to do.
func (l *loom) each(id int, list any, outside ...any) (bool, error) {
	m := &l.ranges[id]
	if m.open || !areFixed(outside) {
		return false, nil
	}
	if m.run != l.run {
		m.run, m.next = l.run, 0
	}
	switch list := list.(type) {
	case []*ServicePort:
		return l.eachServicePort(id, list, outside)
	case []uint16:
		return eachValue(l, id, list, outside)
	case []int:
		return eachValue(l, id, list, outside)
	case []string:
		return eachValue(l, id, list, outside)
	case []netip.Addr:
		return eachValue(l, id, list, outside)
	}
	return false, nil
}

// isOpen reports whether the site cannot have entries, which its first one tells.
func (m *rangeMemory) isOpen(first *kept) bool {
	if !m.tried {
		m.tried = true
		m.open = first.dependsOnOthers()
	}
	return m.open
}

func (l *loom) eachServicePort(id int, list []*ServicePort, outside []any) (bool, error) {
	m, s := &l.ranges[id], &l.set.sites[id]
	body := l.plain.Lookup(s.name)
	key := m.keys.number(outside, l.run)
	binding := append([]any{0}, outside...)
	alone := !s.indexed && sayNothingOfOthers(outside)
	before, now := m.before(key), listMemory{trace: l.trace(), key: key, items: list}
	if !l.stands(before.trace) {
		before = listMemory{}
	}
	now.depends = before.depends
	old, _ := before.items.([]*ServicePort)
	head, tail := sharedEnds(old, list, s.indexed)
	if err := l.out.repeat(before.at, head); err != nil {
		return false, err
	}
	for i := head; i < len(list)-tail; i++ {
		index, p := 0, list[i]
		if s.indexed {
			index, binding[0] = i, i
		}
		k := p.find(id, key, index)
		if !l.isRight(k) {
			k = l.keep(p, l.entry(kept{site: id, key: key, index: index, alone: alone}, func(out *limited) error {
				l.binding = binding
				return body.Execute(out, p)
			}))
		}
		m.others = m.others || k.dependsOnOthers()
		if m.isOpen(k) {
			return false, nil
		}
		if i == head {
			l.ahead(id, list[:len(list)-tail], i+1, kept{site: id, key: key, alone: alone}, binding)
		}
		now.note(k)
		if err := l.failed(k, p); err != nil {
			return false, err
		}
		if err := l.out.emit(k, p); err != nil {
			return false, err
		}
	}
	m.keep(now)
	return len(list) > 0, l.out.repeat(before.at+len(old)-tail, tail)
}
