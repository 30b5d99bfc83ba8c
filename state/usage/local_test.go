package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/procfs"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"weft/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBusy(t *testing.T) {
	base := procfs.CPUStat{User: 100, Nice: 1, System: 50, Idle: 1000, Iowait: 10, IRQ: 1, SoftIRQ: 2, Steal: 3, Guest: 5}
	cases := []struct {
		name   string
		change func(*procfs.CPUStat)
		want   float64
		known  bool
	}{
		{"nothing passed", func(*procfs.CPUStat) {}, 0, false},
		{"idle", func(s *procfs.CPUStat) { s.Idle += 4 }, 0, true},
		{"waiting for a disk is idle", func(s *procfs.CPUStat) { s.Iowait += 4 }, 0, true},
		{"all in use", func(s *procfs.CPUStat) { s.User += 4 }, 1, true},
		{"a quarter", func(s *procfs.CPUStat) { s.System++; s.Idle += 3 }, 0.25, true},
		{"every kind of use", func(s *procfs.CPUStat) {
			s.User, s.Nice, s.System, s.IRQ, s.SoftIRQ, s.Steal = s.User+1, s.Nice+1, s.System+1, s.IRQ+1, s.SoftIRQ+1, s.Steal+1
			s.Idle += 6
		}, 0.5, true},
		{"guests are users already", func(s *procfs.CPUStat) { s.User++; s.Guest++; s.Idle++ }, 0.5, true},
		{"iowait goes back", func(s *procfs.CPUStat) { s.Iowait -= 2; s.User++; s.Idle++ }, 0.5, true},
		{"all goes back", func(s *procfs.CPUStat) { *s = procfs.CPUStat{} }, 0, false},
	}
	for _, c := range cases {
		now := base
		c.change(&now)
		if got, known := busy(base, now); known != c.known || known && got != c.want {
			t.Errorf("%s: busy = %v, known %v, want %v, %v", c.name, got, known, c.want, c.known)
		}
	}
}

// Whatever a kernel says, the ratio is one, or not known.
func TestBusyIsARatio(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) procfs.CPUStat {
			f := func() float64 { return rapid.Float64().Draw(t, what) }
			return procfs.CPUStat{User: f(), Nice: f(), System: f(), Idle: f(), Iowait: f(), IRQ: f(), SoftIRQ: f(), Steal: f()}
		}
		if ratio, known := busy(draw("before"), draw("now")); known && !(ratio >= 0 && ratio <= 1) {
			t.Fatalf("ratio = %v", ratio)
		}
	})
}

// proc is a folder with a stat file.
type proc struct{ dir string }

func newProc(t *testing.T) proc { return proc{t.TempDir()} }

func (p proc) set(t *testing.T, user, idle int) {
	t.Helper()
	text := fmt.Sprintf("cpu  %d 0 0 %d 0 0 0 0 0 0\ncpu0 %d 0 0 %d 0 0 0 0 0 0\ncpu1 %d 0 0 %d 0 0 0 0 0 0\nbtime 1\n", 2*user, 2*idle, user, idle, user, idle)
	file := filepath.Join(p.dir, "stat")
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestLocal(t *testing.T) {
	p := newProc(t)
	p.set(t, 100, 900)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l, err := NewLocal(p.dir, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx, func() {}) }()
		expect := func(want float64, known bool) {
			t.Helper()
			time.Sleep(window)
			synctest.Wait()
			cpu, cores := l.Usage()
			if (cpu != nil) != known {
				t.Fatalf("CPU = %+v, want known %v", cpu, known)
			}
			own := []state.Node{{Name: "other"}, {Name: "own"}}
			l.Aim(&state.State{Node: "own"})
			l.Measure(own)
			if own[0].CPU != nil || (own[1].CPU != nil) != known || known && (own[1].CPU.Ratio != want || own[1].Cores != 2) {
				t.Errorf("nodes are %+v", own)
			}
			if known && (cpu.Ratio != want || cores != 2 || cpu.Measured != time.Now()) {
				t.Errorf("CPU = %+v of %d cores, want %v of 2, now", cpu, cores, want)
			}
		}
		synctest.Wait()
		if cpu, _ := l.Usage(); cpu != nil {
			t.Errorf("CPU = %+v before the first window ended", cpu)
		}
		p.set(t, 100+150, 900+50)
		expect(0.75, true)
		p.set(t, 250, 950+200)
		expect(0, true)
		if err := os.Remove(filepath.Join(p.dir, "stat")); err != nil {
			t.Fatal(err)
		}
		expect(0, false)
		expect(0, false)
		p.set(t, 250+100, 1150+100)
		expect(0.5, true)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "CPU use of this node not known") {
			t.Errorf("log of %d lines, want one: %s", n, &log)
		}
	})
}

func TestNoProc(t *testing.T) {
	if _, err := NewLocal(filepath.Join(t.TempDir(), "none"), slog.Default()); err == nil || !strings.Contains(err.Error(), "read the CPU use of this node") {
		t.Errorf("error = %v", err)
	}
}

// The kernel's own file can be read, and has as many cores as there are.
func TestRealProc(t *testing.T) {
	l, err := NewLocal("/proc", slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	stat, err := l.fs.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if len(stat.CPU) < runtime.NumCPU() || stat.CPUTotal.Idle <= 0 {
		t.Errorf("%d cores, idle for %v s; Go sees %d cores", len(stat.CPU), stat.CPUTotal.Idle, runtime.NumCPU())
	}
}
