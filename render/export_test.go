package render

import (
	"context"
	"slices"

	"weft/state"
)

// RenderPlain renders a state from nothing, with the plain form of the set: what
// its files say, without any memory.
func RenderPlain(ctx context.Context, set *Set, st *state.State, vars Vars) (string, []LeftOut, error) {
	set, err := set.choose(st)
	if err != nil {
		return "", nil, err
	}
	leftOut := new(affinities).leftAlone(st, vars)
	out := map[*state.ServicePort]bool{}
	for _, l := range leftOut {
		out[l.ServicePort] = true
	}
	failures := 0
	for {
		v := newView(st.Node, vars, nil)
		if _, err := v.show(st, out); err != nil {
			return "", nil, err
		}
		text, failed := (&execution{ctx: ctx, set: set, vars: vars, data: v.data}).render()
		if failed == nil {
			slices.SortFunc(leftOut, func(a, b LeftOut) int { return a.ServicePort.Compare(b.ServicePort) })
			return text, leftOut, nil
		}
		if failures++; failed.record == nil || !mayLeaveOut(failures, st) {
			return "", nil, firstError(leftOut, failed)
		}
		out[failed.record] = true
		leftOut = append(leftOut, LeftOut{failed.record, failed})
	}
}

// Executed is how many entries a Renderer executed templates for so far.
func (r *Renderer) Executed() int { return r.loom.executed }

// Shown is of how many ServicePorts it keeps the endpoints as templates see them.
func (r *Renderer) Shown() (n int) {
	for _, record := range r.loom.view.records {
		for _, p := range record.views {
			if p != nil && p.shown.Load() != nil {
				n++
			}
		}
	}
	return n
}
