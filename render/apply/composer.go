package apply

import (
	"context"

	"weft/render"
	"weft/render/ruleset"
	"weft/state"
)

// Composer makes what is desired of one state after the other with one template
// set. It renders, takes apart and judges only what changed since the last time.
// It is for one goroutine at a time.
type Composer struct {
	renderer *render.Renderer
	parser   ruleset.Parser
	linter   ruleset.Linter
	last     *Desired
}

// NewComposer is a Composer for a set.
func NewComposer(set *render.Set) *Composer { return &Composer{renderer: render.NewRenderer(set)} }

// Desire is [Desire] with the memory of what was desired before.
func (c *Composer) Desire(ctx context.Context, st *state.State, vars render.Vars) (*Desired, error) {
	result, err := c.renderer.Render(ctx, st, vars)
	if err != nil {
		return nil, err
	}
	d := &Desired{Result: result, State: st, Vars: vars, Table: vars.Table()}
	if c.last != nil && c.last.Result == result && c.last.Table == d.Table {
		d.Ruleset = c.last.Ruleset
		c.last = d // an older state is nobody's any more
		return d, nil
	}
	parsed, err := c.parser.Parse(d.Parts)
	if err != nil {
		return nil, d.refusal("lint", syntaxFindings(err), err)
	}
	if findings := c.linter.Lint(parsed, ruleset.Options{Table: d.Table}); len(findings) > 0 {
		return nil, d.refusal("lint", findings, nil)
	}
	d.Ruleset = parsed
	c.last = d
	return d, nil
}
