package follow

import (
	"context"
	"errors"
	"hash/maphash"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An eager follower calls for what may be new, whatever it holds, and for nothing else.
func TestEager(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "state.yaml")
	must(t, write(file, "zero"))
	old := time.Now().Add(-time.Hour)
	f := start(t, &Follower{Paths: []string{file}, Poll: never, Eager: true})
	must(t, write(file, "zero"))
	f.seen("the same again")
	must(t, write(filepath.Join(dir, ".tmp"), "one"), os.Rename(filepath.Join(dir, ".tmp"), file))
	f.seen("a rename")
	time.Sleep(racy)
	must(t, os.Chtimes(file, old, old))
	f.seen("other times")
	time.Sleep(racy)
	must(t, write(filepath.Join(dir, "other"), "x"))
	f.unseen("a neighbour, while the times of the last look could not tell")
	must(t, write(file, "two"))
	f.seen("a file that was written where it stands")
	must(t, write(filepath.Join(dir, "other"), "y"))
	f.unseen("a neighbour of a file that was just written")
	must(t, write(filepath.Join(dir, "other"), "z"), write(file, "two"))
	f.seen("the same again, beside a neighbour")
	must(t, os.Remove(file))
	f.seen("the end")
}

// TestEagerAndQuiet checks that a file which was just written is not taken for changed
// again as long as nobody touches it, and is where events cannot be trusted.
func TestEagerAndQuiet(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.yaml")
	must(t, write(file, "zero"))
	s := newSurvey([]string{file})
	before := s.sight(sight{seed: maphash.MakeSeed()}, true, true, false)
	if before.settled {
		t.Fatal("the file is not as young as it should be")
	}
	if s.sight(before, true, true, true).contents != before.contents {
		t.Error("a look without an event found a change")
	}
	if s.sight(before, true, true, false).contents == before.contents {
		t.Error("a look after an event, or without any that could come, found none")
	}
	must(t, write(file, "longer"))
	if s.sight(before, true, true, true).contents == before.contents {
		t.Error("a missed event hid a change of the size")
	}
	f := start(t, &Follower{Paths: []string{file}, Poll: 20 * time.Millisecond, Eager: true})
	f.unseen("looks without events")
}

// What was renamed to its place is whole: nobody waits for more of it. What is written
// where it stands is not.
func TestEagerWaitsForNoRename(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "state.yaml")
	f := &Follower{Paths: []string{file}, Poll: never, Eager: true, Settle: time.Hour, MaxSettle: time.Hour}
	calls, done := make(chan struct{}, 10), make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- f.Run(ctx, func() { calls <- struct{}{} }) }()
	<-calls
	must(t, write(filepath.Join(dir, ".tmp"), "one"))
	time.Sleep(50 * time.Millisecond)
	must(t, os.Rename(filepath.Join(dir, ".tmp"), file))
	<-calls
	must(t, os.Remove(file), write(file, ""))
	time.Sleep(50 * time.Millisecond)
	must(t, write(file, "x"))
	time.Sleep(50 * time.Millisecond)
	if len(calls) > 0 {
		t.Error("a file that is being written was not waited for")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A rename of which a look knows already, since it came among other events, is no change
// when it is heard of at last.
func TestEagerLooksBeforeItHears(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "state.yaml")
	must(t, write(file, "zero"))
	r := newRunner(&Follower{Paths: []string{file}, Eager: true})
	defer r.close()
	r.look(true, some)
	must(t, write(filepath.Join(dir, ".tmp"), "one"), os.Rename(filepath.Join(dir, ".tmp"), file))
	if !r.look(false, none) {
		t.Fatal("the rename was not seen")
	}
	heard, err := r.wait(t.Context(), time.Now().Add(never))
	if err != nil || heard != whole || r.look(false, heard) {
		t.Errorf("heard = %d, %v, and changed again", heard, err)
	}
	must(t, write(file, "two"))
	if heard, err = r.wait(t.Context(), time.Now().Add(never)); err != nil || !r.look(false, heard) {
		t.Errorf("heard = %d, %v, and a write where it stands was not seen", heard, err)
	}
}

// TestNeighbours: what leads nowhere ends no wait; what does, does.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(dir string) error
		want event
	}{
		{"a file that is made, written and deleted", func(dir string) error {
			return errors.Join(write(filepath.Join(dir, ".tmp"), "x"), os.Remove(filepath.Join(dir, ".tmp")))
		}, none},
		{"the target of another link", func(dir string) error { return swap(dir, "b", "other") }, none},
		{"the link on the way", func(dir string) error { return swap(dir, "b", "..data") }, near},
		{"the link to the file", func(dir string) error { return swap(dir, "a/f", "f") }, near},
		{"the file", func(dir string) error { return write(filepath.Join(dir, "a", "f"), "two") }, some},
		{"the folder of the file", func(dir string) error { return os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "c")) }, near},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "a"), 0o755), os.Mkdir(filepath.Join(dir, "b"), 0o755),
				write(filepath.Join(dir, "a", "f"), "one"), write(filepath.Join(dir, "b", "f"), "two"),
				os.Symlink("a", filepath.Join(dir, "..data")), os.Symlink("..data/f", filepath.Join(dir, "f")))
			r := newRunner(&Follower{Paths: []string{filepath.Join(dir, "f")}, Eager: true})
			defer r.close()
			r.look(true, some)
			must(t, c.do(dir))
			if heard, err := r.wait(t.Context(), time.Now().Add(200*time.Millisecond)); err != nil || heard != c.want {
				t.Errorf("heard %d, %v, want %d", heard, err, c.want)
			}
		})
	}
}

// TestWholeIsNoLink: a link that takes the place of a file leads elsewhere, which is then
// followed.
func TestWholeIsNoLink(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	file, target := filepath.Join(dir, "f"), filepath.Join(elsewhere, "f")
	must(t, write(file, "one"), write(target, "two"))
	f := start(t, &Follower{Paths: []string{file}, Poll: never, Eager: true})
	must(t, write(filepath.Join(dir, ".tmp"), "three"), os.Rename(filepath.Join(dir, ".tmp"), file))
	f.seen("a rename")
	must(t, swap(dir, target, "f"))
	f.seen("a link in the place of the file")
	must(t, write(filepath.Join(elsewhere, ".tmp"), "four"), os.Rename(filepath.Join(elsewhere, ".tmp"), target))
	f.seen("a rename where the link leads")
	must(t, write(filepath.Join(dir, ".tmp"), "five"), os.Rename(filepath.Join(dir, ".tmp"), file))
	f.seen("a file in the place of the link")
	must(t, write(filepath.Join(dir, ".tmp"), "six"), os.Rename(filepath.Join(dir, ".tmp"), file))
	f.seen("another rename")
}
