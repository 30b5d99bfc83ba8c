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
	base := stat{times: [kinds]uint64{user: 100, nice: 1, system: 50, idle: 1000, iowait: 10, irq: 1, softirq: 2, steal: 3}}
	type times = [kinds]uint64
	cases := []struct {
		name  string
		grown times
		back  times
		want  float64
		known bool
	}{
		{name: "nothing passed"},
		{name: "idle", grown: times{idle: 4}, known: true},
		{name: "waiting for a disk is idle", grown: times{iowait: 4}, known: true},
		{name: "all in use", grown: times{user: 4}, want: 1, known: true},
		{name: "a quarter", grown: times{system: 1, idle: 3}, want: 0.25, known: true},
		{name: "every kind of use", grown: times{1, 1, 1, 6, 0, 1, 1, 1}, want: 0.5, known: true},
		{name: "iowait goes back", grown: times{user: 1, idle: 1}, back: times{iowait: 2}, want: 0.5, known: true},
		{name: "all goes back", back: base.times},
	}
	for _, c := range cases {
		now := base
		for kind := range now.times {
			now.times[kind] += c.grown[kind] - c.back[kind]
		}
		if got, known := busy(base, now); known != c.known || known && got != c.want {
			t.Errorf("%s: busy = %v, known %v, want %v, %v", c.name, got, known, c.want, c.known)
		}
	}
}

// Whatever a kernel says, the ratio is one, or not known.
func TestBusyIsARatio(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) (s stat) {
			for kind := range s.times {
				s.times[kind] = rapid.Uint64().Draw(t, what)
			}
			return s
		}
		if ratio, known := busy(draw("before"), draw("now")); known && !(ratio >= 0 && ratio <= 1) {
			t.Fatalf("ratio = %v", ratio)
		}
	})
}

func TestReadStat(t *testing.T) {
	all := "cpu  1 2 3 4 5 6 7 8 9 10\n"
	cases := []struct {
		name, text string
		want       stat
		err        string
	}{
		{"one core", all + "cpu0 1 2 3 4 5 6 7 8 9 10\nintr 7 0\n", stat{[kinds]uint64{1, 2, 3, 4, 5, 6, 7, 8}, 1}, ""},
		{"cores that are off have no line", all + "cpu0 1\ncpu3 1\ncpu12 1\nctxt 5\ncpu13 1\n", stat{[kinds]uint64{1, 2, 3, 4, 5, 6, 7, 8}, 3}, ""},
		{"nothing behind it", all + "cpu0 1\n", stat{[kinds]uint64{1, 2, 3, 4, 5, 6, 7, 8}, 1}, ""},
		{"a line of very many interrupts", all + "cpu0 1\nintr 7" + strings.Repeat(" 0", 1<<17) + "\n", stat{[kinds]uint64{1, 2, 3, 4, 5, 6, 7, 8}, 1}, ""},
		{"an old kernel", "cpu  1 2 3 4\ncpu0 1 2 3 4\n", stat{[kinds]uint64{1, 2, 3, 4}, 1}, ""},
		{"no number", "cpu  1 two 3\n", stat{}, `got "two", expected the ticks of all CPUs`},
		{"less than nothing", "cpu  1 -2 3\n", stat{}, `got "-2"`},
		{"another file", "MemTotal: 5 kB\n", stat{}, `got "MemTotal: 5 kB", expected the line of all CPUs`},
		{"cores alone", "cpu0 1 2 3 4\n", stat{}, "expected the line of all CPUs"},
		{"nothing", "", stat{}, "expected the line of all CPUs"},
	}
	for _, c := range cases {
		path := filepath.Join(t.TempDir(), "stat")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := readStat(path)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: error = %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
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
		first, _ := l.Usage()
		p.set(t, 9999, 950)
		time.Sleep(window - 1)
		if cpu, _ := l.Usage(); cpu != first {
			t.Errorf("CPU = %+v within the window of %+v", cpu, first)
		}
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

// Of the kernel's own file we read what a library does.
func TestRealProc(t *testing.T) {
	fs, err := procfs.NewFS("/proc")
	if err != nil {
		t.Fatal(err)
	}
	before, err := fs.Stat()
	if err != nil {
		t.Fatal(err)
	}
	got, err := readStat("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	after, err := fs.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if got.cores != len(before.CPU) || got.cores < runtime.NumCPU() {
		t.Errorf("%d cores, want %d; Go sees %d", got.cores, len(before.CPU), runtime.NumCPU())
	}
	low, high := before.CPUTotal, after.CPUTotal
	for kind, bounds := range map[int][2]float64{
		user: {low.User, high.User}, nice: {low.Nice, high.Nice}, system: {low.System, high.System}, idle: {low.Idle, high.Idle},
		irq: {low.IRQ, high.IRQ}, softirq: {low.SoftIRQ, high.SoftIRQ}, steal: {low.Steal, high.Steal},
	} {
		const ticks = 100 // a second, see times(2)
		if v := float64(got.times[kind]) / ticks; v < bounds[0] || v > bounds[1] {
			t.Errorf("kind %d: %v s, want %v to %v", kind, v, bounds[0], bounds[1])
		}
	}
}
