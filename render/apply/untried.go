package apply

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"weft/render"
	"weft/render/nft"
	"weft/templates"
)

// wrong are templates of somebody that were loaded untried and did not do their
// job, with what was wrong. They are not loaded again: nothing keeps packets from
// them meanwhile.
type wrong struct {
	files []templates.File
	vars  render.Vars
	err   error
}

func (w *wrong) is(c candidate) bool {
	return w.err != nil && slices.Equal(w.files, c.set.Files) && reflect.DeepEqual(w.vars, c.vars)
}

// rehearsal tries the desired rules where no packet is, and says once where it
// has no right to.
func (l *Loop) rehearsal(ctx context.Context, desired *Desired) (err error) {
	defer func() {
		if errors.Is(err, nft.ErrNoScratch) && l.said["rehearse"] == "" {
			l.said["rehearse"] = err.Error()
			l.Log.Warn("rules are not tried elsewhere before they are loaded", "error", err)
		}
	}()
	if l.rehearse != nil {
		return l.rehearse(ctx, desired)
	}
	return desired.Rehearse(ctx, l.Runner)
}

// loadUntried is for where nothing can be tried elsewhere: a container that has
// NET_ADMIN alone may not make a network namespace. nft and the kernel say
// whether they would take the rules. What the rules do is seen when they are
// loaded; where it is wrong, the last good templates are next, at once, or
// without any the rules go.
func (l *Loop) loadUntried(ctx context.Context, c candidate, desired *Desired, all bool) error {
	if c.set == l.good.set || c.set.Shipped() {
		return l.loadAndProve(ctx, desired, all)
	}
	if l.wrong.is(c) {
		return l.wrong.err
	}
	if err := desired.Check(ctx, l.Runner); err != nil {
		return err
	}
	err := l.loadAndProve(ctx, desired, all)
	var unproven *Unproven
	if !errors.As(err, &unproven) {
		return err
	}
	l.wrong = wrong{c.set.Files, c.vars, err}
	if l.good.set != nil {
		return err
	}
	if gone := Remove(ctx, l.Runner, desired.Table); gone != nil {
		return fmt.Errorf("%w\n%w", err, gone)
	}
	return err
}

// Check asks nft and the kernel whether they would take the desired ruleset.
// What they refuse comes back as from [Desired.Load].
func (d *Desired) Check(ctx context.Context, runner nft.Runner) error {
	return d.explain(runner.Check(ctx, d.Transaction()))
}
