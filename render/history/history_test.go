package history

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"weft/examples/lab/labtest"
)

func entry(result Result, text string) Entry {
	return Entry{Result: result, Text: text, State: []byte("state of " + text), Set: "cascade", Table: "weft", Generation: 7}
}

func add(t *testing.T, l *Log, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if err := l.Add(e); err != nil {
			t.Fatal(err)
		}
	}
}

// texts are those of the entries that are kept, oldest first.
func texts(t *testing.T, l *Log) []string {
	t.Helper()
	entries, err := l.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		full, err := l.Get(e.ID)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, full.Text)
	}
	return all
}

func TestAnEntryComesBackAsItWas(t *testing.T) {
	l := Open(filepath.Join(t.TempDir(), "made", "history"), Limits{})
	want := Entry{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Generation: 1834, Set: "./my set", Result: Refused,
		Message: "rendered line 3:\n\tnonsense \x00", Table: "weft", Vars: map[string]any{"heartbeat": "60s"},
		LeftOut: []string{"a/b:c"}, Text: "table ip weft {\n}", State: []byte("kind: State\n---\n\xff"),
	}
	add(t, l, want)
	want.ID = 1
	got, err := l.Get(1)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got\n%s", err, diff)
	}
	entries, err := l.List()
	want.Text, want.State = "", nil
	if diff := cmp.Diff([]Entry{want}, entries); diff != "" || err != nil {
		t.Errorf("listed: %v, -want +got\n%s", err, diff)
	}
	if _, err := l.Get(2); !errors.Is(err, ErrNoEntry) {
		t.Errorf("entry 2: %v", err)
	}
}

func TestTheOldestGo(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		add    []Entry
		want   []string
	}{
		{"by number", Limits{Entries: 2}, []Entry{entry(Proven, "a"), entry(Proven, "b"), entry(Proven, "c")}, []string{"b", "c"}},
		{
			"the newest proven one last",
			Limits{Entries: 3},
			[]Entry{entry(Proven, "a"), entry(Proven, "b"), entry(Refused, "c"), entry(Refused, "d"), entry(Refused, "e")},
			[]string{"b", "d", "e"},
		},
		{"a proven one spares no other", Limits{Entries: 2}, []Entry{entry(Proven, "a"), entry(Refused, "b"), entry(Proven, "c")}, []string{"b", "c"}},
		{"only one", Limits{Entries: 1}, []Entry{entry(Proven, "a"), entry(Refused, "b")}, []string{"b"}},
		{"repeated", Limits{}, []Entry{entry(Proven, "a"), entry(Refused, "b"), entry(Refused, "b"), entry(Proven, "a"), entry(Unproven, "a")}, []string{"a", "b", "a", "a"}},
		{
			"by bytes",
			Limits{Bytes: 1000},
			[]Entry{entry(Proven, strings.Repeat("a", 90)), entry(Proven, strings.Repeat("b", 90)), entry(Proven, strings.Repeat("c", 200))},
			[]string{strings.Repeat("c", 200)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := Open(t.TempDir(), tt.limits)
			add(t, l, tt.add...)
			if diff := cmp.Diff(tt.want, texts(t, l)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestBounds adds what it likes: the folder never holds more than it may, IDs
// only grow, and the newest entry is there.
func TestBounds(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		limits := Limits{Entries: rapid.IntRange(1, 5).Draw(rt, "entries"), Bytes: rapid.Int64Range(600, 4000).Draw(rt, "bytes")}
		l := Open(folder, limits)
		defer os.RemoveAll(folder)
		var last uint64
		for i := range rapid.IntRange(1, 20).Draw(rt, "count") {
			result := rapid.SampledFrom([]Result{Proven, Refused, Unproven, Failed}).Draw(rt, "result")
			text := fmt.Sprint(i) + strings.Repeat("x", rapid.IntRange(0, 2000).Draw(rt, "size"))
			err := l.Add(entry(result, text))
			if errors.Is(err, ErrTooLarge) {
				continue
			}
			if err != nil {
				rt.Fatal(err)
			}
			files, err := l.survey()
			if err != nil {
				rt.Fatal(err)
			}
			var size int64
			for _, f := range files {
				size += f.size
			}
			newest := files[len(files)-1]
			if len(files) > limits.Entries || size > limits.Bytes || newest.id <= last {
				rt.Fatalf("%d files of %d bytes, newest %d (before: %d)", len(files), size, newest.id, last)
			}
			last = newest.id
			for _, f := range files {
				if e, err := l.Get(f.id); err != nil || f.id == last && (e.Text != text || string(e.State) != "state of "+text) {
					rt.Fatalf("entry %d of %d: %q, %v", f.id, last, e.Text, err)
				}
			}
		}
	})
}

// TestSmallChangesAreSmall: what a change of one part costs does not depend on how
// much there is beside it.
func TestSmallChangesAreSmall(t *testing.T) {
	l := Open(t.TempDir(), Limits{Entries: 12})
	parts := make([]string, 3000)
	for i := range parts {
		parts[i] = fmt.Sprintf("chain %d {%s}\n", i, strings.Repeat("x", 1000))
	}
	state := func(n int) []byte {
		text := fmt.Sprintf("generation: %d\n", n)
		for i := range parts {
			text += fmt.Sprintf("---\nport: %d\nshare: %d\n", i, 1000000*n/(1+i/1500*n))
		}
		return []byte(text)
	}
	var want []Entry
	for i := range 30 {
		parts = slices.Clone(parts)
		switch i % 3 {
		case 0:
			parts[i*50] += "changed"
		case 1:
			parts = slices.Delete(parts, i*50, i*50+2)
		case 2:
			parts = slices.Insert(parts, i*50, "new\n")
		}
		e := Entry{Result: Proven, Generation: uint64(i), Parts: parts, State: state(i)}
		add(t, l, e)
		e.Text = strings.Join(parts, "")
		want = append(want, e)
	}
	files, err := l.survey()
	if err != nil || len(files) < 7 || len(files) > 12 {
		t.Fatalf("%d files, %v, want 7 to 12", len(files), err)
	}
	whole := 0
	for _, f := range files {
		got, err := l.Get(f.id)
		if e := want[f.id-1]; err != nil || got.Text != e.Text || string(got.State) != string(e.State) {
			t.Errorf("entry %d is not what was kept: %v", f.id, err)
		}
		if f.size > 1<<20 {
			whole++
		}
	}
	if whole != 2 {
		t.Errorf("%d of %d entries are whole, want 2: each begins a group of 6", whole, len(files))
	}
}

// TestBaseGone deletes entries by hand: those that were made of them are lost, and
// say so, and new ones are made of none of them.
func TestBaseGone(t *testing.T) {
	l := Open(t.TempDir(), Limits{Entries: 40})
	parts := strings.SplitAfter(strings.Repeat("a line\n", 100), "\n")
	grow := func() {
		parts = append(slices.Clone(parts), fmt.Sprint(len(parts)))
		add(t, l, Entry{Result: Proven, Parts: parts})
	}
	grow()
	grow()
	grow()
	if err := os.Remove(filepath.Join(l.folder, fileName(1))); err != nil {
		t.Fatal(err)
	}
	grow()
	for id, lost := range map[uint64]bool{1: true, 2: true, 3: true, 4: false} {
		if _, err := l.Get(id); (err != nil) != lost {
			t.Errorf("entry %d: %v", id, err)
		}
	}
	if entries, err := l.List(); len(entries) != 1 || err == nil {
		t.Errorf("%d entries are listed, %v, want the one that can be read", len(entries), err)
	}
}

// TestAnyDifference: a patch makes the text that it was made for.
func TestAnyDifference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		part := rapid.SampledFrom([]string{"a", "b", "c\n", "dd", "", "e"})
		old, new := rapid.SliceOf(part).Draw(rt, "old"), rapid.SliceOf(part).Draw(rt, "new")
		got, err := difference(old, new).apply(strings.Join(old, ""))
		if want := strings.Join(new, ""); err != nil || got != want {
			rt.Fatalf("got %q, %v, want %q", got, err, want)
		}
	})
}

func TestTooLarge(t *testing.T) {
	l := Open(t.TempDir(), Limits{Bytes: 500})
	add(t, l, entry(Proven, "a"))
	if err := l.Add(entry(Proven, strings.Repeat("b", 500))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if diff := cmp.Diff([]string{"a"}, texts(t, l)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAMessageIsCut(t *testing.T) {
	l := Open(t.TempDir(), Limits{})
	e := entry(Refused, "a")
	e.Message = strings.Repeat("\x01", 2*MaxMessage)
	add(t, l, e, e)
	entries, err := l.List()
	if err != nil || len(entries) != 1 || len(entries[0].Message) != MaxMessage {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// TestABrokenEntryHidesNoOther also has what a killed writer leaves behind.
func TestABrokenEntryHidesNoOther(t *testing.T) {
	l := Open(t.TempDir(), Limits{})
	add(t, l, entry(Proven, "a"), entry(Proven, "b"), entry(Proven, "c"))
	for name, content := range map[string]string{fileName(2): "{", ".00000000041234": "left", "notes": "", ".pin123": "", "99": "{}"} {
		if err := os.WriteFile(filepath.Join(l.folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := l.List()
	if len(entries) != 2 || err == nil || !strings.Contains(err.Error(), fileName(2)) {
		t.Errorf("listed %d entries, %v", len(entries), err)
	}
	add(t, l, entry(Proven, "d"))
	if e, err := l.Get(4); e.Text != "d" || err != nil {
		t.Errorf("entry 4: %q, %v", e.Text, err)
	}
	if _, err := os.Stat(filepath.Join(l.folder, ".00000000041234")); err == nil {
		t.Error("the temporary file is still there")
	}
	if _, err := os.Stat(filepath.Join(l.folder, ".pin123")); err != nil {
		t.Error("the temporary file of somebody else is gone")
	}
}

func TestLast(t *testing.T) {
	l := Open(t.TempDir(), Limits{})
	if _, ok, err := l.Last(); ok || err != nil {
		t.Errorf("empty: %v, %v", ok, err)
	}
	add(t, l, entry(Proven, "a"), entry(Proven, "b"), entry(Refused, "c"))
	if e, ok, err := l.Last(); e.Text != "b" || !ok || err != nil {
		t.Errorf("got %q, %v, %v, want b", e.Text, ok, err)
	}
}

func TestOff(t *testing.T) {
	l := Open("", Limits{})
	add(t, l, entry(Proven, "a"))
	entries, err := l.List()
	_, found := l.Get(1)
	if len(entries) != 0 || err != nil || !errors.Is(found, ErrNoEntry) {
		t.Errorf("%v, %v, %v", entries, err, found)
	}
}

func TestNoFolderCanBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := Open(filepath.Join(file, "history"), Limits{})
	if err := l.Add(entry(Proven, "a")); err == nil || !strings.HasPrefix(err.Error(), "keep the transaction in the history: ") {
		t.Errorf("got %v", err)
	}
}

// TestFullDisk has a file system of 64 KiB: what does not fit is an error, and
// what was kept stays.
func TestFullDisk(t *testing.T) {
	labtest.RequireKernel(t)
	folder := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its mounts
		done <- onSmallDisk(folder)
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func onSmallDisk(folder string) error {
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
		return err
	}
	l := Open(folder, Limits{})
	if err := l.Add(entry(Proven, "a")); err != nil {
		return err
	}
	large := entry(Proven, strings.Repeat("b", 128<<10))
	if err := l.Add(large); !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("full: got %v, want ENOSPC", err)
	}
	if err := unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return err
	}
	if err := l.Add(entry(Proven, "c")); !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("read-only: got %v, want EROFS", err)
	}
	entries, err := l.List()
	if len(entries) != 1 || err != nil {
		return fmt.Errorf("%d entries are left, want 1 (%v)", len(entries), err)
	}
	return nil
}

// TestReadersNeedNoLock reads while entries come and go: an entry is whole or
// not there.
func TestReadersNeedNoLock(t *testing.T) {
	l := Open(t.TempDir(), Limits{Entries: 3})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				entries, err := l.List()
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range entries {
					if _, err := l.Get(e.ID); err != nil && !errors.Is(err, ErrNoEntry) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range 100 {
		add(t, l, entry(Proven, strings.Repeat(fmt.Sprint(i), 2000)))
	}
	close(stop)
	readers.Wait()
}

func TestPin(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "history")
	l := Open(folder, Limits{Entries: 1})
	if _, ok, err := Pinned(folder); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	add(t, l, entry(Proven, "a"))
	e, err := l.Get(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := Pin(folder, e); err != nil {
		t.Fatal(err)
	}
	add(t, l, entry(Proven, "b")) // the history lets the pinned entry go
	got, ok, err := Pinned(folder)
	if diff := cmp.Diff(e, got); diff != "" || !ok || err != nil {
		t.Errorf("pinned: %v, %v, -want +got\n%s", ok, err, diff)
	}
	if diff := cmp.Diff([]string{"b"}, texts(t, l)); diff != "" {
		t.Errorf("the pin is in the listing: -want +got\n%s", diff)
	}
	first, err1 := Release(folder)
	second, err2 := Release(folder)
	if !first || second || err1 != nil || err2 != nil {
		t.Errorf("released: %v %v, then %v %v", first, err1, second, err2)
	}
	if _, ok, _ := Pinned(folder); ok {
		t.Error("still pinned")
	}
	if err := errors.Join(MakePinFolder(folder), os.WriteFile(PinFile(folder), []byte("{}\n!"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := Pinned(folder); ok || err == nil {
		t.Errorf("broken: %v, %v", ok, err)
	}
}

func FuzzDecode(f *testing.F) {
	bytesOf := func(c contents, h head, err error) ([]byte, head, error) {
		var b bytes.Buffer
		_, _ = c.WriteTo(&b)
		return b.Bytes(), h, err
	}
	whole, h, err := bytesOf(encode(entry(Refused, "table ip weft {}")))
	if err != nil {
		f.Fatal(err)
	}
	next := entry(Refused, "table ip weft { }")
	next.ID = 1
	after, _, err := bytesOf(encodeAfter(&kept{head: h}, next, patch{[]piece{{0, 15}, {-1, 1}, {15, 1}}, []byte(" ")}, patch{[]piece{{0, 9}}, nil}))
	if err != nil {
		f.Fatal(err)
	}
	before := func(uint64) (Entry, string, error) { return entry(Refused, "table ip weft {}"), h.Digest, nil }
	if _, _, err := decode(after, before); err != nil {
		f.Fatal(err)
	}
	f.Add(after)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(`{"textBytes":-1,"stateBytes":1}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, _, err := decode(data, before)
		if err != nil {
			return
		}
		again, _, err := bytesOf(encode(e))
		if err != nil {
			return // a first line that encode would not write
		}
		back, _, err := decode(again, before)
		e.Message = cut(e.Message)
		if diff := cmp.Diff(e, back); diff != "" || err != nil {
			t.Errorf("%v: %s", err, diff)
		}
	})
}
