package follow

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// never is a poll interval that no test waits for: what is seen, events caused.
const never = time.Hour

// following is a Follower at work.
type following struct {
	t     *testing.T
	calls chan time.Time
}

func start(t *testing.T, f *Follower) *following {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	fo := &following{t: t, calls: make(chan time.Time, 1000)}
	done := make(chan error)
	go func() { done <- f.Run(ctx, func() { fo.calls <- time.Now() }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want context.Canceled", err)
		}
	})
	fo.seen("the start")
	return fo
}

// seen waits for a call and for the quiet after it.
func (f *following) seen(what string) time.Time {
	f.t.Helper()
	var first time.Time
	select {
	case first = <-f.calls:
	case <-time.After(3 * time.Second):
		f.t.Fatalf("%s was not seen", what)
	}
	for {
		select {
		case <-f.calls:
		case <-time.After(60 * time.Millisecond):
			return first
		}
	}
}

func (f *following) unseen(what string) {
	f.t.Helper()
	select {
	case <-f.calls:
		f.t.Fatalf("%s caused a call", what)
	case <-time.After(100 * time.Millisecond):
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

// swap replaces a symlink as the kubelet's AtomicWriter does.
func swap(dir, target, link string) error {
	tmp := filepath.Join(dir, link+"_tmp")
	return errors.Join(os.Symlink(target, tmp), os.Rename(tmp, filepath.Join(dir, link)))
}

// Each way of saving is done several times: many watchers see only the first.
func TestWaysOfSaving(t *testing.T) {
	t.Parallel()
	appendTo := func(path, text string) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Close())
	}
	tests := map[string]func(dir, file, text string) error{
		"written in place": func(_, file, text string) error { return write(file, text) },
		"temporary file renamed": func(dir, file, text string) error {
			return errors.Join(write(filepath.Join(dir, ".tmp1"), text), os.Rename(filepath.Join(dir, ".tmp1"), file))
		},
		"vim": func(dir, file, text string) error {
			swp := filepath.Join(dir, ".state.yaml.swp")
			return errors.Join(write(swp, "x"), write(filepath.Join(dir, "4913"), ""), os.Remove(filepath.Join(dir, "4913")),
				os.Rename(file, file+"~"), write(file, text), os.Chmod(file, 0o644), os.Remove(file+"~"), os.Remove(swp))
		},
		"sed -i": func(dir, file, text string) error {
			return errors.Join(write(filepath.Join(dir, "sedAbCdEf"), text), os.Rename(filepath.Join(dir, "sedAbCdEf"), file))
		},
		"backup editor": func(_, file, text string) error {
			return errors.Join(os.Rename(file, file+"~"), write(file, text), os.Remove(file+"~"))
		},
		"deleted, then written": func(_, file, text string) error {
			err := os.Remove(file)
			time.Sleep(20 * time.Millisecond)
			return errors.Join(err, write(file, text))
		},
		"folder deleted and created": func(dir, file, text string) error {
			return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), write(file, text))
		},
		"folder away for a while": func(dir, file, text string) error {
			err := os.RemoveAll(dir)
			time.Sleep(80 * time.Millisecond)
			err = errors.Join(err, os.Mkdir(dir, 0o755))
			time.Sleep(20 * time.Millisecond)
			return errors.Join(err, write(file, text))
		},
		"folder renamed over": func(dir, _, text string) error {
			old, next := dir+".old", dir+".new"
			return errors.Join(os.Mkdir(next, 0o755), write(filepath.Join(next, "state.yaml"), text),
				os.Rename(dir, old), os.Rename(next, dir), os.RemoveAll(old))
		},
		"slow writer": func(_, file, text string) error {
			err := write(file, text[:1])
			for i := 1; i < len(text); i++ {
				time.Sleep(15 * time.Millisecond)
				err = errors.Join(err, appendTo(file, text[i:i+1]))
			}
			return err
		},
	}
	for name, save := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "weft")
			file := filepath.Join(dir, "state.yaml")
			must(t, os.Mkdir(dir, 0o755), write(file, "zero"))
			f := start(t, &Follower{Paths: []string{file}, Poll: never})
			for _, text := range []string{"first", "second", "third"} {
				must(t, save(dir, file, text))
				f.seen(name + " " + text)
			}
			must(t, write(file, "last"))
			f.seen("a plain write at last")
			f.unseen("nothing")
		})
	}
}

// The last call must come after the last chunk, or a half file would stay.
func TestSlowWriterEndsWithACall(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.yaml")
	must(t, write(file, ""))
	f := start(t, &Follower{Paths: []string{file}, Poll: never})
	out, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, err)
	var last time.Time
	for range 40 {
		_, err := out.WriteString("chunk\n")
		must(t, err)
		last = time.Now()
		time.Sleep(3 * time.Millisecond)
	}
	must(t, out.Close())
	var call time.Time
	for wait := time.After(300 * time.Millisecond); wait != nil; {
		select {
		case call = <-f.calls:
		case <-wait:
			wait = nil
		}
	}
	if !call.After(last) {
		t.Errorf("the last call was %v before the last chunk", last.Sub(call))
	}
}

func TestBurst(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.yaml")
	must(t, write(file, ""))
	f := start(t, &Follower{Paths: []string{file}, Poll: never, Settle: 300 * time.Millisecond, MaxSettle: never})
	for i := range 20 {
		must(t, write(file, strings.Repeat("x", i)))
		time.Sleep(2 * time.Millisecond)
	}
	time.Sleep(600 * time.Millisecond)
	if n := len(f.calls); n != 1 {
		t.Errorf("%d calls for one burst, want 1", n)
	}
}

// Writes that never stop must not put the call off for ever.
func TestEndlessBurst(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.yaml")
	must(t, write(file, ""))
	f := start(t, &Follower{Paths: []string{file}, Poll: never, Settle: time.Second, MaxSettle: 100 * time.Millisecond})
	for i := 0; len(f.calls) < 2; i++ {
		if i == 300 {
			t.Fatalf("%d calls in 3 s of writing, want one every 100 ms", len(f.calls))
		}
		must(t, write(file, strings.Repeat("x", i)))
		time.Sleep(10 * time.Millisecond)
	}
}

func TestConfigMap(t *testing.T) {
	t.Parallel()
	for name, sub := range map[string]string{"a file": "state.yaml", "the folder": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			version := func(v, text string) {
				must(t, os.Mkdir(filepath.Join(dir, "..v"+v), 0o755), write(filepath.Join(dir, "..v"+v, "state.yaml"), text), swap(dir, "..v"+v, "..data"))
			}
			version("1", "one")
			must(t, os.Symlink("..data/state.yaml", filepath.Join(dir, "state.yaml")))
			f := start(t, &Follower{Paths: []string{filepath.Join(dir, sub)}, Poll: never})
			version("2", "two")
			f.seen("the first swap")
			must(t, os.RemoveAll(filepath.Join(dir, "..v1")))
			version("3", "three")
			must(t, os.RemoveAll(filepath.Join(dir, "..v2")))
			f.seen("the second swap")
			version("4", "three")
			f.unseen("a swap to equal contents")
		})
	}
}

func TestSymlinkElsewhere(t *testing.T) {
	t.Parallel()
	dir, other, third := t.TempDir(), t.TempDir(), t.TempDir()
	target := filepath.Join(other, "real.yaml")
	must(t, write(target, "one"), os.Symlink(third, filepath.Join(dir, "between")),
		os.Symlink(target, filepath.Join(third, "hop")), os.Symlink("between/hop", filepath.Join(dir, "state.yaml")))
	f := start(t, &Follower{Paths: []string{filepath.Join(dir, "state.yaml")}, Poll: never})
	must(t, write(target, "two"))
	f.seen("the target written in place")
	must(t, write(filepath.Join(other, "new"), "three"), os.Rename(filepath.Join(other, "new"), target))
	f.seen("the target renamed over")
	must(t, write(filepath.Join(other, "b.yaml"), "four"))
	f.unseen("a neighbour of the target")
	must(t, swap(third, filepath.Join(other, "b.yaml"), "hop"))
	f.seen("a symlink on the way swapped")
	must(t, write(filepath.Join(other, "b.yaml"), "five"))
	f.seen("the new target written")
	must(t, write(target, "six"))
	f.unseen("the old target written")
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, write(filepath.Join(dir, "ruleset.nft.tmpl"), "a"))
	f := start(t, &Follower{Paths: []string{dir}, Poll: never})
	must(t, write(filepath.Join(dir, "_part.nft.tmpl"), "b"))
	f.seen("a new file")
	must(t, os.MkdirAll(filepath.Join(dir, "sub", "deep"), 0o755), write(filepath.Join(dir, "sub", "deep", "x"), "c"))
	f.seen("a file in a new folder")
	must(t, write(filepath.Join(dir, "sub", "deep", "x"), "d"))
	f.seen("a write in a new folder")
	must(t, os.Remove(filepath.Join(dir, "_part.nft.tmpl")))
	f.seen("a file removed")
	must(t, os.Chmod(filepath.Join(dir, "ruleset.nft.tmpl"), 0o600))
	f.unseen("other permissions")
	must(t, os.Symlink(dir, filepath.Join(dir, "sub", "loop")))
	must(t, os.Symlink("self", filepath.Join(dir, "self")))
	f.seen("a loop of folders")
}

// An agent writes its status beside its state: that must not wake it.
func TestNeighbour(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, write(filepath.Join(dir, "state.yaml"), "a"))
	f := start(t, &Follower{Paths: []string{filepath.Join(dir, "state.yaml")}, Poll: never})
	for range 10 {
		must(t, write(filepath.Join(dir, "status.json"), time.Now().String()))
		f.unseen("a neighbour's write")
	}
	must(t, write(filepath.Join(dir, "state.yaml"), "b"))
	f.seen("the file's own write")
}

func TestMissingAtStart(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, "a", "b", "state.yaml")
	f := start(t, &Follower{Paths: []string{file}, Poll: never})
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	time.Sleep(30 * time.Millisecond)
	must(t, write(file, "here"))
	f.seen("the file's appearance")
	must(t, os.RemoveAll(filepath.Join(root, "a")))
	f.seen("its disappearance")
}

// What no event tells, here a rename of a folder above, the poll finds.
func TestPoll(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, "a", "b", "state.yaml")
	must(t, os.MkdirAll(filepath.Dir(file), 0o755), write(file, "one"))
	must(t, os.MkdirAll(filepath.Join(root, "n", "b"), 0o755), write(filepath.Join(root, "n", "b", "state.yaml"), "two"))
	f := start(t, &Follower{Paths: []string{file}, Poll: time.Second})
	must(t, os.Rename(filepath.Join(root, "a"), filepath.Join(root, "old")), os.Rename(filepath.Join(root, "n"), filepath.Join(root, "a")))
	f.seen("a folder above renamed")
	saved := time.Now()
	must(t, write(file, "three"))
	if late := f.seen("a write after it").Sub(saved); late > 500*time.Millisecond {
		t.Errorf("a write after it was seen after %v, so the new folder is not watched", late)
	}
}

func TestWorksWithoutInotify(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.yaml")
	must(t, write(file, "one"))
	log := &lockedBuffer{}
	f := start(t, &Follower{
		Paths: []string{file}, Poll: 20 * time.Millisecond,
		Log:  slog.New(slog.NewTextHandler(log, nil)),
		open: func() (watcher, error) { return nil, errors.New("too many open files") },
	})
	must(t, write(file, "two"))
	f.seen("a write")
	must(t, write(file, "three"))
	f.seen("another write")
	if n := strings.Count(log.String(), "inotify does not work"); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, log)
	}
}

// A blind follower looks every second however slow its poll is.
func TestLooksEverySecondWithoutInotify(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.yaml")
	must(t, write(file, "one"))
	f := start(t, &Follower{Paths: []string{file}, Poll: never, open: func() (watcher, error) { return nil, errors.New("limit") }})
	must(t, write(file, "two"))
	f.seen("a write")
}

// limited is inotify with too few watches, and events that a test sends.
type limited struct {
	inotify
	left *int
	errs chan error
}

func (l limited) Add(folder string) error {
	if *l.left--; *l.left < 0 {
		return errors.New("no space left on device")
	}
	return l.inotify.Add(folder)
}

func (l limited) channels() (<-chan fsnotify.Event, <-chan error) { return l.Events, l.errs }

func TestWatchLimit(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	must(t, write(filepath.Join(a, "x"), "1"), write(filepath.Join(b, "x"), "1"))
	log, left := &lockedBuffer{}, 1
	f := start(t, &Follower{
		Paths: []string{filepath.Join(a, "x"), filepath.Join(b, "x")}, Poll: 30 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(log, nil)),
		open: func() (watcher, error) {
			w, err := openInotify()
			return limited{inotify: w.(inotify), left: &left}, err
		},
	})
	must(t, write(filepath.Join(a, "x"), "2"))
	f.seen("a write in the first folder")
	must(t, write(filepath.Join(b, "x"), "2"))
	f.seen("a write in the second folder")
	if n := strings.Count(log.String(), "a folder cannot be watched"); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, log)
	}
}

// deaf is inotify whose events were all lost.
type deaf struct {
	inotify
	errs chan error
}

func (d deaf) channels() (<-chan fsnotify.Event, <-chan error) { return nil, d.errs }

// After an overflow the files are looked at, though no event names them.
func TestOverflow(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.yaml")
	must(t, write(file, "one"))
	errs := make(chan error)
	f := start(t, &Follower{
		Paths: []string{file}, Poll: never,
		open: func() (watcher, error) {
			// The real one would block on events that nobody takes.
			w, err := fsnotify.NewBufferedWatcher(1000)
			return deaf{inotify{w}, errs}, err
		},
	})
	must(t, write(file, "two"))
	f.unseen("a write whose events were lost")
	errs <- fsnotify.ErrEventOverflow
	f.seen("the write, after the overflow")
	errs <- fsnotify.ErrEventOverflow
	f.unseen("an overflow without a change")
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// BenchmarkLatency is the time from the end of a save to the call.
func BenchmarkLatency(b *testing.B) {
	file := filepath.Join(b.TempDir(), "state.yaml")
	text := bytes.Repeat([]byte("x"), 2_500_000)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	calls, done := make(chan struct{}), make(chan error)
	go func() {
		f := &Follower{Paths: []string{file}, Poll: never}
		done <- f.Run(ctx, func() { calls <- struct{}{} })
	}()
	<-calls
	i := 0
	for b.Loop() {
		b.StopTimer()
		i++
		text[0] = byte(i)
		if err := os.WriteFile(file+".new", text, 0o644); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := os.Rename(file+".new", file); err != nil {
			b.Fatal(err)
		}
		<-calls
	}
	cancel()
	<-done
}
