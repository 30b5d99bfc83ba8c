package apply

import (
	"reflect"
	"time"

	"weft/render"
	"weft/state"
	"weft/state/fingerprint"
	"weft/state/status"
)

// inputs are what a loop read last, and what of it was good.
type inputs struct {
	decoder state.Decoder
	st      *state.State
	taken   *state.Held // the last that was not read
	text    []byte      // of the state file that st is, within a pass
	room    room        // that holds it, and the next one if that comes soon
	fresh   time.Time   // when st.Written last changed
	stale   bool        // the state is too old
	newest  candidate
	good    candidate // the last that the kernel took
	pinned  *Desired  // goes before all of them; usually nil
	// pinKnown is set once it could be told whether something is pinned.
	pinKnown bool
}

// candidate is a template set with the vars to render it with.
type candidate struct {
	set      *render.Set
	vars     render.Vars
	composer *Composer
}

func (c *candidate) same(set *render.Set, vars render.Vars) bool {
	return c.set != nil && set.Same(c.set) && reflect.DeepEqual(vars, c.vars)
}

// ready reports whether there is enough to render.
func (in *inputs) ready() bool { return in.st != nil && in.newest.set != nil }

// read takes in the state file, and what else changed. What is refused leaves the
// last good one. What it returns ends the reading, when the text of the state is of
// no more use: megabytes for which there are few passes.
func (l *Loop) read(change Change) (end func()) {
	end = l.readState()
	l.readPin()
	if change&TemplatesChanged != 0 {
		start := time.Now()
		set, vars, err := l.Templates()
		if !l.complain("templates", "templates refused, the last good ones stay in force", err) {
			if !l.newest.same(set, vars) { // else it goes on with what it rendered
				l.newest = candidate{set, vars, NewComposer(set)}
			}
			l.Status.Took(status.Templates, time.Since(start))
			l.Status.Good(status.FromTemplates, start)
		}
	}
	return end
}

func (l *Loop) readState() (end func()) {
	if l.takeState() {
		return l.endReading
	}
	start := time.Now()
	text, err := l.room.read(l.StateFile)
	var st *state.State
	if err == nil {
		st, err = l.decoder.Decode(l.StateFile, text)
	}
	if l.complain("state", "state file refused, the last good one stays in force", err) {
		return l.endReading
	}
	l.text = text
	l.take(st, start)
	return l.endReading
}

func (l *Loop) endReading() { l.text = nil }

// spareTime is how long room for a state file is kept: in a burst of changes it would
// else be made anew for each.
const spareTime = 3 * time.Second

// takeState takes the state from who wrote it, if the file is as it was written. It does
// so once for each: whoever comes again looks into the file.
func (l *Loop) takeState() bool {
	if l.Written == nil {
		return false
	}
	start, held := time.Now(), l.Written()
	if held == nil || held == l.taken || !held.Stands(l.StateFile) {
		return false
	}
	l.complain("state", "", nil)
	l.taken = held
	l.take(held.State, start)
	return true
}

func (l *Loop) take(st *state.State, start time.Time) {
	if l.st == nil || !st.Written.Equal(l.st.Written) || st.Written.IsZero() {
		l.fresh = time.Now()
	}
	l.st = st
	l.Status.Took(status.Read, time.Since(start))
	if !st.Written.IsZero() {
		l.Status.Good(status.FromState, l.fresh)
	}
	l.Status.Wanted(st)
}

// known is what the writer of the file holds, or nil.
func (l *Loop) known() *state.State {
	if held := l.Written(); held != nil {
		return held.State
	}
	return nil
}

// stateText is the text of the state that the pass is about, and its parts if they are
// known.
func (l *Loop) stateText() ([]byte, *fingerprint.Cut) {
	if l.text == nil && l.taken != nil && l.taken.State == l.st && l.taken.Stands(l.StateFile) {
		if text, err := l.room.read(l.StateFile); err == nil && l.taken.Stands(l.StateFile) {
			return text, nil
		}
	}
	if l.text == nil { // the file is gone, or another one now, which was refused
		return encoded(l.st), nil
	}
	if cut, ok := l.decoder.Cut(); ok {
		return l.text, &cut
	}
	return l.text, nil
}

// encoded is a state that was decoded, as a file.
func encoded(st *state.State) []byte {
	text, _ := state.Encode(st) // what was decoded is good
	return text
}

// letGo reports whether the state is too old to vouch for. The heartbeat is
// then no longer renewed, so that kube-proxy takes over when it ends.
func (l *Loop) letGo() bool {
	old := l.FailAfter > 0 && !l.st.Written.IsZero() && time.Since(l.fresh) > l.FailAfter
	if old && !l.stale {
		l.Log.Error("state too old, letting go: kube-proxy takes over when the heartbeat ends", "failAfter", l.FailAfter)
	}
	l.stale = old
	l.reportLetGo()
	return old
}
