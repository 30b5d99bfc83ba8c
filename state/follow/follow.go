// Package follow tells that files or folders have changed, within milliseconds,
// whichever way they are changed: written in place, renamed over, swapped behind
// symlinks as the kubelet does it with ConfigMaps, deleted and created again.
//
// inotify is a hint here, and looking is the proof. After each burst of events,
// and at a slow interval besides, the paths are resolved afresh, the watches are
// brought in line with what they resolve to, and the contents are hashed: only
// another hash is a change. So it does not matter which events a way of saving
// causes, a neighbour's file in the same folder wakes nobody, and where inotify
// misses something (its limits are shared by all processes of a user, its queue
// overflows) the next look finds it.
//
// Folders are watched and never files: a watch on a file is lost with the first
// rename over it.
package follow

import (
	"context"
	"hash/maphash"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The defaults of a Follower.
const (
	DefaultPoll      = 30 * time.Second
	DefaultSettle    = 5 * time.Millisecond
	DefaultMaxSettle = 50 * time.Millisecond
)

// withoutEvents is the longest time between two looks while inotify does not work.
const withoutEvents = time.Second

// Follower follows paths. Its fields may be set until Run is called.
type Follower struct {
	// Paths are files, or folders with all that is in them. They need not
	// exist: to appear and to disappear are changes.
	Paths []string
	// Poll is the time between two looks at the contents without any event;
	// DefaultPoll if it is 0.
	Poll time.Duration
	// Eager takes files whose times changed for changed, and those too of which neither
	// the times nor the absence of events can tell, without reading them: for who reads
	// them anyway and sees what is new. Nor does it wait for the end of a burst when a
	// file that is not empty takes the place of one: whoever renames has written before.
	Eager bool
	// Settle is how long there must be no event before a look, and MaxSettle
	// the longest that a burst of events can delay one.
	Settle, MaxSettle time.Duration
	// Log may be nil.
	Log *slog.Logger

	open func() (watcher, error) // for tests; nil is inotify
}

// watcher is what is needed of an *fsnotify.Watcher.
type watcher interface {
	Add(folder string) error
	Remove(folder string) error
	WatchList() []string
	Close() error
	channels() (<-chan fsnotify.Event, <-chan error)
}

type inotify struct{ *fsnotify.Watcher }

func (w inotify) channels() (<-chan fsnotify.Event, <-chan error) { return w.Events, w.Errors }

// burst is how many events may come before anybody takes them: to save a file causes
// half a dozen, and to be woken for each costs more than a look.
const burst = 64

func openInotify() (watcher, error) {
	w, err := fsnotify.NewBufferedWatcher(burst)
	if err != nil {
		return nil, err
	}
	return inotify{w}, nil
}

// Run calls changed once as soon as the watches stand, so that nothing is lost
// between the caller's own reading and them, and then after each change of the
// contents. It calls from its own goroutine; changes that happen meanwhile make
// one call after it. Run returns when ctx ends, with its error.
//
// That a call was made does not mean that a file is complete: a slow writer
// causes several, the last of them after its last write.
func (f *Follower) Run(ctx context.Context, changed func()) error {
	r := newRunner(f)
	defer r.close()
	r.look(true, some)
	changed()
	lookAll := time.Now().Add(r.poll)
	for {
		what, err := r.wait(ctx, lookAll)
		if err != nil {
			return err
		}
		due := !time.Now().Before(lookAll)
		if due {
			lookAll = time.Now().Add(r.poll)
		}
		if r.look(due, what) {
			changed()
		}
	}
}

// runner is a Follower while it runs.
type runner struct {
	paths             []string
	eager             bool
	poll              time.Duration
	settle, maxSettle time.Duration
	log               *slog.Logger
	open              func() (watcher, error)

	watcher watcher
	folders map[string]fileID // what the watches were set on
	last    *survey           // of the last look
	blind   bool              // some folder is not watched
	seen    sight
}

func newRunner(f *Follower) *runner {
	r := &runner{
		paths: f.Paths, eager: f.Eager, log: f.Log, open: f.open,
		poll: f.Poll, settle: f.Settle, maxSettle: f.MaxSettle,
		folders: map[string]fileID{}, last: &survey{any: true}, seen: sight{seed: maphash.MakeSeed()},
	}
	if r.poll <= 0 {
		r.poll = DefaultPoll
	}
	if r.settle <= 0 {
		r.settle = DefaultSettle
	}
	if r.maxSettle <= 0 {
		r.maxSettle = DefaultMaxSettle
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.open == nil {
		r.open = openInotify
	}
	return r
}

func (r *runner) close() {
	if r.watcher != nil {
		_ = r.watcher.Close() // nothing is lost that a look would not find
	}
}

// wait returns after a burst of events, or when it is time to look without one, and
// says what it heard: at most that something is near if none was of one of the files.
func (r *runner) wait(ctx context.Context, lookAll time.Time) (event, error) {
	until := time.Until(lookAll)
	if r.blind {
		until = min(until, withoutEvents)
	}
	timer := time.NewTimer(until)
	defer timer.Stop()
	what, err := r.next(ctx, timer.C)
	if err != nil || !what.begins() {
		return what, err
	}
	return r.settleDown(ctx, what)
}

// settleDown waits for the end of a burst of events.
func (r *runner) settleDown(ctx context.Context, heard event) (event, error) {
	deadline := time.Now().Add(r.maxSettle)
	for {
		quiet := time.NewTimer(min(r.settle, time.Until(deadline)))
		what, err := r.next(ctx, quiet.C)
		quiet.Stop()
		if what == some {
			heard = some
		}
		if err != nil || !what.begins() {
			return heard, err
		}
	}
}

// event is what inotify tells, if anything.
type event int

const (
	none  event = iota
	near        // something near the files, which may be another way to them
	some        // one of the files itself
	first       // a whole file took a place where no file was: more need not be waited for
	whole       // one took the place of one that is followed: its times tell, and the way to it is the same
)

// begins reports whether more of the same may follow, whose end is to be waited for.
func (e event) begins() bool { return e == near || e == some }

// next waits for an event or for the timer. What happens to neighbours that lead
// nowhere is none. An error of inotify counts as an event: whatever it lost may be a
// change of ours.
func (r *runner) next(ctx context.Context, timer <-chan time.Time) (event, error) {
	var events <-chan fsnotify.Event
	var errs <-chan error
	if r.watcher != nil {
		events, errs = r.watcher.channels()
	}
	for {
		select {
		case <-ctx.Done():
			return none, ctx.Err()
		case <-timer:
			return none, nil
		case e, ok := <-events:
			switch {
			case !ok:
				r.drop()
				return near, nil
			case r.last.passes(e.Name):
				return r.told(e), nil
			}
		case err, ok := <-errs:
			if !ok {
				r.drop()
				return some, nil
			}
			r.log.Warn("inotify lost events, looking at the files instead", "error", err)
			return some, nil
		}
	}
}

// told tells a file that was renamed to a path from one that was just made there, which
// is empty yet, and what happens to the files from what happens beside them.
func (r *runner) told(e fsnotify.Event) event {
	followed := slices.ContainsFunc(r.last.files, func(f file) bool { return f.real == e.Name })
	if r.eager && e.Has(fsnotify.Create) && slices.Contains(r.paths, e.Name) {
		info, err := os.Lstat(e.Name)
		switch {
		case err != nil || !info.Mode().IsRegular() || info.Size() == 0:
		case followed:
			return whole
		default:
			return first
		}
	}
	if followed {
		return some
	}
	return near
}

// drop forgets a watcher that came to an end by itself; the next look opens
// another.
func (r *runner) drop() {
	r.watcher = nil
	clear(r.folders)
}

// look brings the watches in line and reports whether the contents are other
// than at the last look. It trusts the files' times unless all is true. what was
// heard since then says how much there is to be looked at.
func (r *runner) look(all bool, what event) (changed bool) {
	quiet := what != some && !r.blind && r.watcher != nil
	if all || what != whole || r.blind {
		r.last = r.watchAll()
	}
	now := r.last.sight(r.seen, all, r.eager, quiet)
	changed = now.contents != r.seen.contents
	r.seen = now
	return changed
}
