package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"weft/examples/lab/cgroup"
	"weft/examples/lab/labtest"
)

// TestMain makes the test's program one of the benchmark's processes if it is told so.
func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// The whole benchmark in a few seconds: too fast for its figures to mean anything, but
// everything in it happens.
func TestBench(t *testing.T) {
	labtest.RequireKernel(t)
	if _, err := cgroup.Open(); err != nil && os.Getenv("WEFT_REQUIRE_KERNEL") != "1" {
		t.Skip(err)
	}
	weft, folder := filepath.Join(t.TempDir(), "weft"), t.TempDir()
	build := exec.Command("go", "build", "-o", weft, "weft/cmd/weft")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build weft: %v: %s", err, out)
	}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-weft", weft, "-pace", "40", "-load", "0.2", "-out", folder}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	t.Log("\n" + stdout.String())
	for _, want := range []string{"weft/equal", "fast again", "node1, slow: its share in the rules went from", "CPU time. The machine was"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if !regexp.MustCompile(`\n0 of [1-9]\d* connections went past weft's rules`).MatchString(stdout.String()) {
		t.Error("weft did not steer all connections of its side")
	}
	for _, name := range []string{"shares.svg", "times.svg"} {
		if text, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Contains(text, []byte("<svg")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/*/weft-bench-%d-*", os.Getpid())); err != nil || len(left) > 0 {
		t.Errorf("cgroups are left: %v, %v", left, err)
	}
}

func TestParse(t *testing.T) {
	cases := []struct {
		args []string
		tell string
	}{
		{[]string{"-load", "1"}, "load: got 1"},
		{[]string{"-load", "NaN"}, "load: got NaN"},
		{[]string{"-pace", "0"}, "pace: got 0"},
		{[]string{"-format", "gif"}, "format: got \"gif\""},
		{[]string{"more"}, "the argument \"more\""},
	}
	for _, c := range cases {
		if _, err := parse(c.args); err == nil || !strings.Contains(err.Error(), c.tell) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.tell)
		}
	}
}

// The times at which requests are due are those of a Poisson process, the same for the
// same seed.
func TestDue(t *testing.T) {
	o := order{Seed: 1, Rate: 100, Length: 100 * second}
	due := o.due()
	if n := len(due); n < 9500 || n > 10500 { // five standard deviations of 10,000
		t.Errorf("%d requests", n)
	}
	early := 0 // gaps that are shorter than the mean: 1-1/e of them
	for i := range due[1:] {
		if due[i+1] < due[i] {
			t.Fatalf("request %d is due before the one before it", i+1)
		}
		if due[i+1]-due[i] < 10*time.Millisecond {
			early++
		}
	}
	o.Idle = 50 * second
	if half := len(o.due()); half < 5000 || half > 6000 {
		t.Errorf("%d requests where the first half is idle, want about 5,500", half)
	}
	o.Idle = 0
	if part := float64(early) / float64(len(due)-1); part < 0.60 || part > 0.66 {
		t.Errorf("%v of the gaps are shorter than their mean, want 0.632", part)
	}
	again := o.due()
	o.Seed = 2
	if again[9] != due[9] || o.due()[9] == due[9] {
		t.Error("the seed is not what tells")
	}
}

func TestSummarize(t *testing.T) {
	ms := time.Millisecond
	all := []answer{
		{due: 0, took: 10 * ms, name: "node1"},
		{due: 1 * second, took: 20 * ms, name: "node1"},
		{due: 2 * second, took: patience, err: "timeout"},
		{due: 3 * second, took: 30 * ms, name: "node2"},
	}
	f := summarize(all, 1*second, 3*second)
	if f.requests != 2 || f.mean != 2510 || f.p50 != 5000 || f.p99 != 5000 || f.failed != 1 || f.by["node1"] != 1 || f.by["node2"] != 0 {
		t.Errorf("got %+v", f)
	}
	if f := summarize(all, 10*second, 20*second); f.requests != 0 || f.mean != 0 {
		t.Errorf("nothing gave %+v", f)
	}
}

// A node's /proc/stat is as busy as its cgroup is of its quota, and never busier than
// the time that passed.
func TestMeter(t *testing.T) {
	var m meter
	m.add(100*time.Millisecond, 30*time.Millisecond)
	m.add(100*time.Millisecond, 120*time.Millisecond) // a quota that came early
	m.add(100*time.Millisecond, 0)
	if m.busy != 150*time.Millisecond || m.idle != 150*time.Millisecond {
		t.Errorf("busy %v, idle %v", m.busy, m.idle)
	}
}
