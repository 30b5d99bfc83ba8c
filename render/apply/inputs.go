package apply

import (
	"bytes"
	"os"
	"reflect"
	"time"

	"weft/render"
	"weft/state"
	"weft/state/status"
)

// inputs are what a loop read last, and what of it was good.
type inputs struct {
	decoder state.Decoder
	st      *state.State
	text    []byte    // of the state file
	spare   []byte    // what text was before: its memory takes the next file
	fresh   time.Time // when st.Written last changed
	stale   bool      // the state is too old
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

// read takes in what changed. What is refused leaves the last good one.
func (l *Loop) read(change Change) {
	if change&StateChanged != 0 {
		l.readState()
	}
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
}

func (l *Loop) readState() {
	start := time.Now()
	data, err := readInto(l.spare, l.StateFile)
	var st *state.State
	if err == nil {
		st, err = l.decoder.Decode(l.StateFile, data)
	}
	if l.complain("state", "state file refused, the last good one stays in force", err) {
		return
	}
	if l.st == nil || !st.Written.Equal(l.st.Written) || st.Written.IsZero() {
		l.fresh = time.Now()
	}
	l.st, l.text, l.spare = st, data, l.text
	l.Status.Took(status.Read, time.Since(start))
	if !st.Written.IsZero() {
		l.Status.Good(status.FromState, l.fresh)
	}
	l.Status.Wanted(st)
}

// readInto is os.ReadFile into memory that is there already, if it is enough: a
// large file is read again and again.
func readInto(memory []byte, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// What a read takes at least, to see the end of the file, and some to grow.
	if need := int(info.Size()) + bytes.MinRead; cap(memory) < need {
		memory = make([]byte, 0, need+need/8)
	}
	buffer := bytes.NewBuffer(memory[:0])
	_, err = buffer.ReadFrom(f)
	return buffer.Bytes(), err
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
