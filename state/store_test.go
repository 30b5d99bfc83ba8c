package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"weft/examples/lab/labtest"
)

var noon = time.Date(2025, 11, 24, 12, 0, 0, 123456789, time.UTC)

func load(t *testing.T, path string) *State {
	t.Helper()
	s, err := NewStore(path).Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "weft", "state.yaml")
	s := NewStore(path)
	if got, err := s.Load(); got != nil || err != nil {
		t.Fatalf("got %v %v, want no state and no error", got, err)
	}
	st := example()
	st.Generation = 0
	measured := example()
	measured.Nodes[0].Latency.Seconds = 0.1
	shared := example()
	shared.ServicePorts[0].Endpoints[0].Share = 0.25
	shared.ServicePorts[0].Endpoints[1].Share = 0.5
	shuffled := example()
	shuffled.ServicePorts[0], shuffled.ServicePorts[1] = shuffled.ServicePorts[1], shuffled.ServicePorts[0]
	explained := example()
	explained.ServicePorts[0].Endpoints = slices.Clone(shared.ServicePorts[0].Endpoints)
	explained.ServicePorts[0].Endpoints[0].Weight = new(2.0)
	explained.ServicePorts[0].Policy = PolicyCPU
	explained.ServicePorts[0].Held = []Hold{HoldStep}
	explained.ServicePorts[0].Factors = []Factor{{Node: "k8s-slave-3-raspberrypi-4", Target: 1, Share: 1}}
	explained.Nodes[0].Cores, explained.Nodes[0].Unreachable = 4, noon
	moved := example()
	moved.Addresses[0] = moved.Addresses[0].Next()
	sticky := example()
	sticky.Addresses[0] = moved.Addresses[0]
	sticky.ServicePorts[0].Affinity = ClientIP

	steps := []struct {
		name       string
		state      *State
		after      time.Duration
		written    bool
		generation uint64
	}{
		{"the first state", st, 0, true, 1},
		{"the same", example(), time.Second, false, 1},
		{"the same in another order", shuffled, time.Second, false, 1},
		{"a measurement too soon", measured, 4 * time.Second, false, 1},
		{"a measurement", measured, 5 * time.Second, true, 1},
		{"a share", shared, 5 * time.Second, true, 2},
		{"why it is so, too soon", explained, 9 * time.Second, false, 2},
		{"why it is so", explained, 10 * time.Second, true, 2},
		{"the address", moved, 16 * time.Second, true, 3},
		{"nothing, not quite for long", moved, 215 * time.Second, false, 3},
		{"nothing for long", moved, 216 * time.Second, true, 3},
		{"the clock went back", moved, 215 * time.Second, true, 3},
		{"affinity", sticky, 215 * time.Second, true, 4},
	}
	for _, step := range steps {
		now := noon.Add(step.after)
		written, err := s.Write(step.state, now)
		if err != nil || written != step.written {
			t.Fatalf("%s: got %t %v, want %t", step.name, written, err, step.written)
		}
		got := load(t, path)
		if got.Generation != step.generation {
			t.Errorf("%s: generation %d, want %d", step.name, got.Generation, step.generation)
		}
		if want := now.Truncate(time.Millisecond); written && !got.Written.Equal(want) {
			t.Errorf("%s: written %v, want %v", step.name, got.Written, want)
		}
		if diff := cmp.Diff(got, s.Last().sorted(nil), options); diff != "" {
			t.Errorf("%s: Last (-file +last):\n%s", step.name, diff)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if written, err := s.Write(moved, noon.Add(206*time.Second)); !written || err != nil {
		t.Errorf("a file that was removed: got %t %v, want it written again", written, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("got %v %v, want mode 0644", info.Mode(), err)
	}
}

// TestStorePause: measurements alone rewrite a large file more rarely, before and
// after a restart.
func TestStorePause(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	st := example()
	for i := range 2000 {
		p := *st.ServicePorts[0]
		p.Name, p.NodePort, p.Skipped = fmt.Sprintf("sp-%04d", i), uint16(20000+i), strings.Repeat("x", 250)
		st.ServicePorts = append(st.ServicePorts, &p)
	}
	first := NewStore(path)
	if written, err := first.Write(st, noon); !written || err != nil {
		t.Fatal(written, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	pause := time.Duration(info.Size()) * time.Second / measurementRate
	if pause < 10*time.Second || pause > longestPause {
		t.Fatalf("a file of %d bytes, and a pause of %v, say nothing", info.Size(), pause)
	}
	second := NewStore(path)
	if _, err := second.Load(); err != nil {
		t.Fatal(err)
	}
	measured := *st
	measured.Nodes = example().Nodes
	measured.Nodes[0].Latency.Seconds = 0.1
	for name, s := range map[string]*Store{"the one that wrote": first, "one that read": second} {
		for _, want := range []bool{false, true} {
			after := pause - time.Second
			if want {
				after += 2 * time.Second
			}
			if written, err := s.Write(&measured, noon.Add(after)); written != want || err != nil {
				t.Errorf("%s: after %v of %v: %t %v, want %t", name, after, pause, written, err, want)
			}
		}
	}
}

// TestStoreTellsFirstMeasurements: that a node is measured at all is written soon, however
// large the file.
func TestStoreTellsFirstMeasurements(t *testing.T) {
	s := NewStore(filepath.Join(t.TempDir(), "state.yaml"))
	st := example()
	st.Nodes[0].Latency, st.Nodes[0].CPU = nil, nil
	if written, err := s.Write(st, noon); !written || err != nil {
		t.Fatal(written, err)
	}
	for _, c := range []struct {
		after   time.Duration
		seconds float64
		want    bool
	}{{s.Interval - time.Second, 0.1, false}, {s.Interval, 0.1, true}, {2 * s.Interval, 0.2, false}, {s.Interval + longestPause, 0.2, true}} {
		s.size = 5 << 20 // as if it had so many bytes
		measured := example()
		measured.Nodes[0].Latency.Seconds = c.seconds
		if written, err := s.Write(measured, noon.Add(c.after)); written != c.want || err != nil {
			t.Errorf("after %v: %t %v, want %t", c.after, written, err, c.want)
		}
	}
}

func TestStoreGoesOnAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	if _, err := NewStore(path).Write(example(), noon); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(filepath.Dir(path), ".state.yaml123")
	if err := os.WriteFile(leftover, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewStore(path)
	if _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v: a killed writer's file is still there", err)
	}
	if written, err := s.Write(example(), noon.Add(time.Second)); written || err != nil {
		t.Errorf("the same: got %t %v, want nothing written", written, err)
	}
	next := example()
	next.ServicePorts = next.ServicePorts[:1]
	if _, err := s.Write(next, noon.Add(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := load(t, path).Generation; got != 1835 {
		t.Errorf("generation %d, want 1835", got)
	}
}

func TestStoreRefusesABadState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	s := NewStore(path)
	st := example()
	st.ServicePorts[1].Skipped = `"; flush ruleset; "`
	_, err := s.Write(st, noon)
	want := `encode the state: servicePorts[riset/latency-extender-svc:http].skipped: got "\"; flush ruleset; \"", expected ` + expectedSkipped
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v: the file exists", err)
	}
}

func TestStoreLoadBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	if err := os.WriteFile(path, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewStore(path)
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("got %v, want that the file is cut off", err)
	}
	if written, err := s.Write(example(), noon); !written || err != nil {
		t.Errorf("got %t %v, want a new file", written, err)
	}
}

// onSmallDisk runs f with a folder on a file system of 64 KiB that only this
// thread sees; the thread, and the mount with it, ends with f.
func onSmallDisk(t *testing.T, f func(dir string) error) {
	t.Helper()
	labtest.RequireKernel(t)
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- errors.Join(
			unix.Unshare(unix.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"),
			f(dir),
		)
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestStoreOnAFullDisk(t *testing.T) {
	onSmallDisk(t, func(dir string) error {
		path := filepath.Join(dir, "state.yaml")
		s := NewStore(path)
		if _, err := s.Write(example(), noon); err != nil {
			return err
		}
		before, _ := os.ReadFile(path)
		if _, err := s.Write(large(100, 10), noon); !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(err.Error(), "write the state file "+path) {
			t.Errorf("got %v, want that no space is left", err)
		}
		after, _ := os.ReadFile(path)
		entries, err := os.ReadDir(dir)
		if string(before) != string(after) || len(entries) != 1 {
			t.Errorf("the folder holds %v, and the file is %d bytes, want the old file alone", entries, len(after))
		}
		if got := s.Last().Node; got != example().Node {
			t.Errorf("Last is of node %s, want the one that the file holds", got)
		}
		return err
	})
}

func TestStoreInAReadOnlyFolder(t *testing.T) {
	onSmallDisk(t, func(dir string) error {
		path := filepath.Join(dir, "state.yaml")
		s := NewStore(path)
		if _, err := s.Write(example(), noon); err != nil {
			return err
		}
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return err
		}
		if _, err := s.Write(large(1, 1), noon); !errors.Is(err, unix.EROFS) {
			t.Errorf("got %v, want that the file system is read-only", err)
		}
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64k"); err != nil {
			return err
		}
		if written, err := s.Write(large(1, 1), noon); !written || err != nil {
			t.Errorf("got %t %v, want the next try to succeed", written, err)
		}
		return nil
	})
}

func TestStoreRefusesNil(t *testing.T) {
	s := NewStore(filepath.Join(t.TempDir(), "state.yaml"))
	st := example()
	for range 2 {
		bad := *st
		bad.ServicePorts = append([]*ServicePort{nil}, st.ServicePorts...)
		if _, err := s.Write(&bad, noon); err == nil {
			t.Error("a ServicePort that is nil was written")
		}
		if _, err := s.Write(st, noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
}
