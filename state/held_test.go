package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestHeld: what a Store holds stands until anybody does anything to the file.
func TestHeld(t *testing.T) {
	for name, does := range map[string]func(path string) error{
		"nothing":       func(string) error { return nil },
		"reads it":      func(path string) error { _, err := os.ReadFile(path); return err },
		"removes it":    os.Remove,
		"writes it":     func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"touches it":    func(path string) error { return os.Chtimes(path, noon, noon) },
		"shuts it":      func(path string) error { return os.Chmod(path, 0o600) },
		"puts the same": sameAgain,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.yaml")
			s := NewStore(path)
			if s.Held() != nil {
				t.Error("something is held before anything was written")
			}
			if _, err := s.Write(example(), noon); err != nil {
				t.Fatal(err)
			}
			held := s.Held()
			if held == nil || held.State != s.Last() || !held.Stands(path) {
				t.Fatalf("%+v is held, want the last state", held)
			}
			time.Sleep(20 * time.Millisecond) // two ticks of the kernel's clock
			if err := does(path); err != nil {
				t.Fatal(err)
			}
			if want := name == "nothing" || name == "reads it"; held.Stands(path) != want {
				t.Errorf("it stands: %t, want %t", !want, want)
			}
		})
	}
}

// sameAgain puts another file of the same contents and times in its place.
func sameAgain(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	if err := os.Chtimes(path+".new", info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// TestHeldIsWhatIsRead: who takes the state from the Store has what the file says.
func TestHeldIsWhatIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	rapid.Check(t, func(t *rapid.T) {
		s := NewStore(path)
		if _, err := s.Write(drawState(t), noon); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Decode(path, text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, s.Held().State, options); diff != "" {
			t.Fatalf("-read +held:\n%s", diff)
		}
	})
}

// TestHeldBeforeAnybodyLooks: who saw a new file in its place finds it held.
func TestHeldBeforeAnybodyLooks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	s := NewStore(path)
	done := make(chan error, 1)
	go func() {
		st := example()
		for i := range 300 {
			st.ServicePorts[0].Endpoints[0].Port = uint16(1 + i)
			next := *st.ServicePorts[0]
			next.Endpoints = append([]Endpoint(nil), next.Endpoints...)
			st.ServicePorts = append([]*ServicePort{&next}, st.ServicePorts[1:]...)
			if _, err := s.Write(st, noon); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			if err := lookWhileWritten(s, path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// lookWhileWritten looks at whatever file is in its place, and says whether the Store does
// not hold it though it is still there afterwards. The file is open meanwhile, or the next
// but one could have its inode and pass for it.
func lookWhileWritten(s *Store, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil // there is none yet
	}
	defer f.Close()
	seen, err := f.Stat()
	if err != nil {
		return err
	}
	held := s.Held()
	stands := held != nil && held.Stands(path)
	now, err := os.Stat(path)
	if err == nil && os.SameFile(seen, now) && !stands {
		return errors.New("a file in its place is not held")
	}
	return err
}

// TestStoreCopiesWhatStays: what a file says is what its state encodes to, though most of it
// is copied from the file before, and whatever others did to that one meanwhile.
func TestStoreCopiesWhatStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	others := []func() error{
		func() error { return nil },
		func() error { return nil },
		func() error { return os.Remove(path) },
		func() error { return os.Rename(path, path+".old") },
		func() error { return sameAgain(path) },
		func() error { return os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<16), 0o600) },
		func() error { return os.Truncate(path, 10) },
	}
	copied := 0
	rapid.Check(t, func(t *rapid.T) {
		s := NewStore(path)
		last := &State{Node: "n"}
		for range rapid.IntRange(2, 5).Draw(t, "writes") {
			st := drawState(t)
			for i, p := range last.ServicePorts {
				if i%3 > 0 {
					st.ServicePorts = append(st.ServicePorts, p)
				}
			}
			last = st
			if Validate(st) != nil {
				continue // twice the same ServicePort
			}
			if s.written.isAsItWas() && len(s.encoder.known) > 0 {
				copied++
			}
			if _, err := s.Write(st, noon); err != nil {
				t.Fatal(err)
			}
			want, err := Encode(s.Last())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%v\n%s", err, cmp.Diff(string(want), string(got)))
			}
			time.Sleep(10 * time.Millisecond) // a tick of the kernel's clock
			if err := rapid.SampledFrom(others).Draw(t, "others")(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if copied == 0 {
		t.Error("nothing was ever copied")
	}
}
