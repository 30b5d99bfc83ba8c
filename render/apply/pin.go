package apply

import (
	"context"

	"weft/state/fingerprint"
)

// readPin takes in whether something is pinned. While that cannot be told, what
// was so stays so, and where nothing was known yet, as when a newer weft wrote the
// pin, nothing is loaded: somebody may not want what the state asks for. A pin does
// not age with the state.
func (l *Loop) readPin() {
	if l.Pinned == nil {
		return
	}
	pinned, err := l.Pinned()
	if l.complain("pin", "what is pinned cannot be told; `weft rollback --release` ends it", err) {
		return
	}
	l.pinKnown = true
	switch {
	case pinned != nil && (l.pinned == nil || !l.pinned.SameText(pinned.Result)):
		l.Log.Warn("rules pinned: they stay whatever the state and the templates say", "generation", pinned.State.Generation, "set", pinned.Set)
	case pinned == nil && l.pinned != nil:
		l.Log.Info("pin released")
	}
	if l.pinned = pinned; pinned != nil {
		l.stale = false
	}
}

// bringPinned loads the pinned rules, which needs no state and no templates, and
// says nothing about those that there are.
func (l *Loop) bringPinned(ctx context.Context, force bool) error {
	err := l.catchUp(ctx)
	if err == nil && !force && l.holds(ctx, l.pinned) && l.confirm(ctx, l.pinned) == nil {
		l.complain("apply", "", nil)
		return nil
	}
	if err == nil {
		err = l.load(ctx, l.good, l.pinned, force)
	}
	if ctx.Err() != nil {
		return nil // told to stop: what failed for that is no failure
	}
	l.keep(l.pinned, func() ([]byte, *fingerprint.Cut) { return encoded(l.pinned.State), nil }, err)
	l.complain("apply", "pinned rules not loaded", err)
	return err
}

// table is the name of the tables that are to be loaded.
func (l *Loop) table() string {
	if l.pinned != nil {
		return l.pinned.Table
	}
	return l.newest.vars.Table()
}
