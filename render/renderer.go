package render

import (
	"context"

	"weft/state"
)

// Renderer renders one state after the other with one set. It executes the
// templates for what changed since the last time and keeps the text of all else;
// what it gives are the bytes that [Render] would give. It is not for concurrent
// use, and whoever tries another set makes another Renderer.
type Renderer struct {
	set *Set
}

// NewRenderer is a Renderer for a set.
func NewRenderer(set *Set) *Renderer { return &Renderer{set: set} }

// Set is the set that is rendered.
func (r *Renderer) Set() *Set { return r.set }

// Render renders a state as [Render] does. When the rules are the same as the
// last time, so is the Result. The vars must not be changed afterwards.
func (r *Renderer) Render(ctx context.Context, st *state.State, vars Vars) (*Result, error) {
	return Render(ctx, r.set, st, vars)
}
