package render

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"weft/state"
)

// Renderer renders one state after the other with one set. It executes the
// templates for what changed since the last time and keeps the text of all else;
// what it gives are the bytes that [Render] would give. It is not for concurrent
// use, and whoever tries another set makes another Renderer.
type Renderer struct {
	set  *Set
	vars Vars // a copy of those that loom was made with
	loom *loom

	affinities affinities
	last       *Result
	shown      *state.State // of which last is
}

// NewRenderer is a Renderer for a set.
func NewRenderer(set *Set) *Renderer { return &Renderer{set: set} }

// Set is the set that is rendered.
func (r *Renderer) Set() *Set { return r.set }

// Render renders a state as [Render] does. If it has the same addresses and
// ServicePorts as that of the last time, so that measurements alone can differ,
// the Result is the same, too.
func (r *Renderer) Render(ctx context.Context, st *state.State, vars Vars) (*Result, error) {
	set, err := r.set.choose(st)
	if err != nil {
		return nil, err
	}
	if r.loom == nil || r.loom.set != set || r.loom.view.data.Node != st.Node || !reflect.DeepEqual(r.vars, vars) {
		r.last, r.vars = nil, vars.clone()
		if r.loom, err = newLoom(set, st.Node, r.vars); err != nil {
			return nil, err
		}
	}
	if r.last != nil && sameRecords(r.shown, st) {
		return r.last, nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	result, err := r.render(ctx, st)
	if err != nil {
		return nil, err
	}
	r.last, r.shown = result, st
	return result, nil
}

func sameRecords(a, b *state.State) bool {
	return slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.ServicePorts, b.ServicePorts)
}

// render executes the set until it fails for no ServicePort that is left.
func (r *Renderer) render(ctx context.Context, st *state.State) (*Result, error) {
	leftOut := r.affinities.leftAlone(st, r.vars)
	out := map[*state.ServicePort]bool{}
	for _, l := range leftOut {
		out[l.ServicePort] = true
	}
	failures := 0
	for {
		text, failed, err := r.once(ctx, st, out)
		if err != nil {
			return nil, err
		}
		if failed == nil {
			result := &Result{Set: r.loom.set.Name, Parts: text.parts, entries: text.entries}
			slices.SortFunc(leftOut, func(a, b LeftOut) int { return a.ServicePort.Compare(b.ServicePort) })
			result.LeftOut = leftOut
			result.origins, result.source = r.origins(st, out, result), r.loom.set.source
			result.open = r.loom.open()
			return result, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("render template set %s: %w", r.loom.set.Name, ctx.Err())
		}
		if failures++; failed.record == nil || !mayLeaveOut(failures, st) {
			return nil, firstError(leftOut, failed)
		}
		out[failed.record] = true
		leftOut = append(leftOut, LeftOut{failed.record, failed})
	}
}

// once executes the set for a state without some ServicePorts. failed is what is
// wrong with a template, or with the next ServicePort.
func (r *Renderer) once(ctx context.Context, st *state.State, out map[*state.ServicePort]bool) (text *output, failed *Error, err error) {
	changed, err := r.loom.view.show(st, out)
	if err != nil {
		r.loom = nil // its view may be half of two states
		return nil, nil, err
	}
	text, err = r.loom.weave(ctx, changed)
	r.loom.view.forget()
	culprit, found := r.loom.culprit, false
	if err == nil {
		if culprit, found = text.residue(); !found {
			r.loom.took(text)
			return text, nil, nil
		}
	}
	if culprit != nil {
		if failed := r.alone(ctx, st, culprit); failed != nil {
			return nil, failed, nil
		}
	}
	x, err := r.plain(ctx, st, out)
	if err != nil {
		return nil, nil, err
	}
	plain, failed := x.render()
	return &output{parts: []string{plain}}, failed, nil
}

// alone says what is wrong with a ServicePort for which a template fails whatever
// others there are: the plain form is executed for it alone. It is nil if that
// does not tell.
func (r *Renderer) alone(ctx context.Context, st *state.State, p *ServicePort) *Error {
	if p.failed == nil {
		only := *st
		only.ServicePorts = []*state.ServicePort{p.origin}
		x, err := r.plain(ctx, &only, nil)
		if err != nil {
			return nil
		}
		_, failed := x.render()
		if failed == nil || failed.record != p.origin || ctx.Err() != nil {
			return nil
		}
		p.failed = failed
	}
	failed := *p.failed
	failed.record = p.origin
	return &failed
}

// plain is an execution of the plain form.
func (r *Renderer) plain(ctx context.Context, st *state.State, out map[*state.ServicePort]bool) (*execution, error) {
	v := newView(st.Node, r.vars, nil)
	if _, err := v.show(st, out); err != nil {
		return nil, err
	}
	return &execution{ctx: ctx, set: r.loom.set, vars: r.vars, data: v.data}, nil
}

// origins finds the origin of each line when first asked, which may be long after.
func (r *Renderer) origins(st *state.State, out map[*state.ServicePort]bool, result *Result) func() []Origin {
	copied := Renderer{vars: r.vars, loom: &loom{set: r.loom.set}}
	return sync.OnceValue(func() []Origin {
		x, err := copied.plain(context.Background(), st, out)
		if err != nil {
			return nil
		}
		return x.origins(result.Text())
	})
}
