package apply_test

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

	"go.uber.org/goleak"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/history"
	"weft/render/nft"
	"weft/templates"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a loop at work in a namespace, with files to edit.
type rig struct {
	t       *testing.T
	ns      *lab.Namespace
	dir     string
	changes chan apply.Change
	proven  chan history.Entry
	log     *buffer
	stop    func()
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, over render.Vars, change func(*apply.Loop)) *rig {
	t.Helper()
	r := &rig{
		t: t, ns: labtest.Scratch(t), dir: t.TempDir(), log: &buffer{},
		changes: make(chan apply.Change), proven: make(chan history.Entry, 100),
	}
	r.write("state.yaml", stateText("0.5", "0.5"))
	files, err := templates.Files(templates.Cascade)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		r.write(filepath.Join("set", f.Name), f.Text)
	}
	loop := &apply.Loop{
		StateFile: filepath.Join(r.dir, "state.yaml"), Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Keep: func(e history.Entry) {
			if e.Result == history.Proven {
				r.proven <- e
			}
		},
		Templates: func() (*render.Set, render.Vars, error) {
			set, err := render.Load(filepath.Join(r.dir, "set"))
			if err != nil {
				return nil, nil, err
			}
			vars, err := render.DefaultVars().With(over, set.Declared)
			return set, vars, err
		},
	}
	if change != nil {
		change(loop)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.ns.Do(func() error { return loop.Run(ctx, r.changes) }) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

func stateText(a, b string) string {
	return `apiVersion: weft/v1
kind: State
node: n1
generation: 1
addresses: [192.0.2.1]
servicePorts: 1
nodes: []
---
kind: ServicePort
namespace: ns
name: web
port: ""
protocol: tcp
nodePort: 30000
endpoints:
- {address: 198.51.100.1, port: 80, node: n1, share: ` + a + `}
- {address: 198.51.100.2, port: 80, node: n2, share: ` + b + `}
`
}

// write puts a file in its place at once, since a pass may be under way.
func (r *rig) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o644), os.Rename(path+".new", path)); err != nil {
		r.t.Fatal(err)
	}
}

// next waits for the next proof.
func (r *rig) next() history.Entry {
	r.t.Helper()
	select {
	case d := <-r.proven:
		return d
	case <-time.After(20 * time.Second):
		r.t.Fatal("nothing was proven")
		return history.Entry{}
	}
}

func (r *rig) kernel() string {
	r.t.Helper()
	out, err := r.ns.Run("nft", "list", "ruleset")
	if err != nil {
		r.t.Fatal(err)
	}
	return string(out)
}

func (r *rig) kernelHolds(text string) {
	r.t.Helper()
	if got := r.kernel(); !strings.Contains(got, text) {
		r.t.Errorf("the kernel does not hold %q:\n%s", text, got)
	}
}

// nextHolds waits for the proof of rules that hold a text.
func (r *rig) nextHolds(text string) {
	r.t.Helper()
	for r.next(); !strings.Contains(r.kernel(), text); r.next() {
	}
}

func (r *rig) logged(text string) int { return strings.Count(r.log.String(), text) }

func TestStateChangeReachesTheKernel(t *testing.T) {
	r := start(t, nil, nil)
	r.next()
	r.kernelHolds("numgen random mod 100 < 50")
	r.write("state.yaml", stateText("0.8", "0.2"))
	r.changes <- apply.StateChanged
	r.next()
	r.kernelHolds("numgen random mod 100 < 80")
	r.changes <- apply.StateChanged
	r.changes <- apply.StateChanged
	r.stop()
	if len(r.proven) != 0 {
		t.Error("equal output was applied again")
	}
}

// TestBrokenInputs breaks each input in turn: the kernel keeps what it has, it
// is said once, and the next good edit is taken.
func TestBrokenInputs(t *testing.T) { brokenInputs(t, nil) }

// TestBrokenInputsUntried does the same without a place to try rules in. The
// kernel then has what it had after a moment.
func TestBrokenInputsUntried(t *testing.T) { brokenInputs(t, (*apply.Loop).WithoutScratch) }

// TestWrongFromTheStart has templates that do something else, no place to try
// them in and no good ones: no rules are left, until the templates are good.
func TestWrongFromTheStart(t *testing.T) {
	service := filepath.Join("set", "_service.nft.tmpl")
	var r *rig
	wrong, good := `{{ define "service" }}	chain {{ template "chain" . }} {
		meta l4proto tcp dnat to 198.51.100.9:80
	}
{{ end }}`, ""
	r = start(t, nil, func(l *apply.Loop) {
		l.WithoutScratch()
		path := filepath.Join(filepath.Dir(l.StateFile), service)
		text, err := os.ReadFile(path)
		if err == nil {
			good, err = string(text), os.WriteFile(path, []byte(wrong), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	for range 3 {
		r.changes <- apply.StateChanged | apply.TemplatesChanged
	}
	if got := r.kernel(); got != "" {
		t.Errorf("rules that do something else are left:\n%s", got)
	}
	if n := r.logged("not proven"); n != 1 {
		t.Errorf("%d times said that the rules are not proven, want once:\n%s", n, r.log)
	}
	r.write(service, good)
	r.changes <- apply.TemplatesChanged
	r.next()
	r.kernelHolds("numgen random mod 100 < 50")
}

func brokenInputs(t *testing.T, change func(*apply.Loop)) {
	service := filepath.Join("set", "_service.nft.tmpl")
	tests := []struct{ name, file, text, said string }{
		{"state cut short", "state.yaml", stateText("0.5", "0.5")[:150], "state.yaml"},
		{"state that is no YAML", "state.yaml", "{", "state.yaml:1"},
		{"template that does not parse", service, "{{ if }}", "_service.nft.tmpl:1: missing value for if"},
		{"template that fails", service, `{{ define "service" }}{{ .Nope }}{{ end }}`, "_service.nft.tmpl:1:26: for ServicePort ns/web"},
		{"template that fails the lint", service, `{{ define "service" }}	chain {{ template "chain" . }} {
		drop
	}
{{ end }}`, "_service.nft.tmpl:2: for ServicePort ns/web"},
		{"template that nft refuses", service, `{{ define "service" }}	chain {{ template "chain" . }} {
		nonsense
	}
{{ end }}`, "_service.nft.tmpl:2: for ServicePort ns/web"},
		{"template that does something else", service, `{{ define "service" }}	chain {{ template "chain" . }} {
		meta l4proto tcp dnat to 198.51.100.9:80
	}
{{ end }}`, "not proven"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, nil, change)
			r.next()
			good, err := os.ReadFile(filepath.Join(r.dir, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			before := r.kernel()
			r.write(tt.file, tt.text)
			for range 3 {
				r.changes <- apply.StateChanged | apply.TemplatesChanged
			}
			if got := withoutTimes(r.kernel()); got != withoutTimes(before) {
				t.Errorf("the kernel changed:\n%s", got)
			}
			r.kernelHolds("numgen random mod 100 < 50")
			if n := r.logged(tt.said); n == 0 {
				t.Errorf("nobody said %q", tt.said)
			}
			if n := r.logged("level=ERROR"); n != 1 {
				t.Errorf("%d errors were logged, want 1", n)
			}
			if tt.file != "state.yaml" { // the last good templates go on rendering new states
				r.write("state.yaml", stateText("0.6", "0.4"))
				r.changes <- apply.StateChanged
				r.nextHolds("numgen random mod 100 < 60")
			}
			r.write(tt.file, string(good))
			r.write("state.yaml", stateText("0.7", "0.3"))
			r.changes <- apply.StateChanged | apply.TemplatesChanged
			r.nextHolds("numgen random mod 100 < 70")
			if r.logged("good again") != 1 {
				t.Error("nobody said that it is good again")
			}
		})
	}
}

func withoutTimes(listing string) string {
	var kept []string
	for line := range strings.SplitSeq(listing, "\n") {
		if !strings.Contains(line, "expires") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// TestHeartbeat lets the loop renew for longer than the timeout, then ends it.
func TestHeartbeat(t *testing.T) {
	r := start(t, render.Vars{"heartbeat": "2s"}, nil)
	r.next()
	time.Sleep(3 * time.Second)
	r.kernelHolds("192.0.2.1")
	r.stop()
	time.Sleep(2500 * time.Millisecond)
	if strings.Contains(r.kernel(), "192.0.2.1") {
		t.Error("the element outlived its timeout without a live weft")
	}
	r.kernelHolds("198.51.100.1")
}

// TestTableTakenAway has somebody delete the table: the heartbeat notices.
func TestTableTakenAway(t *testing.T) {
	r := start(t, render.Vars{"heartbeat": "2s"}, nil)
	r.next()
	if _, err := r.ns.Run("nft", "delete", "table", "ip", "weft"); err != nil {
		t.Fatal(err)
	}
	r.next()
	r.kernelHolds("198.51.100.1")
}

// TestLetsGoOfAnOldState does not renew for a state that nobody vouches for,
// and takes a new one.
func TestLetsGoOfAnOldState(t *testing.T) {
	old := strings.Replace(stateText("0.5", "0.5"), "generation: 1\n", "generation: 1\nwritten: 2025-11-24T13:38:23Z\n", 1)
	r := start(t, render.Vars{"heartbeat": "1s"}, func(l *apply.Loop) {
		l.FailAfter = 2 * time.Second
	})
	r.next()
	r.write("state.yaml", old)
	r.changes <- apply.StateChanged
	time.Sleep(4 * time.Second)
	if strings.Contains(r.kernel(), "192.0.2.1") {
		t.Error("the heartbeat was renewed for a state that is too old")
	}
	if n := r.logged("letting go"); n != 1 {
		t.Errorf("letting go was said %d times, want 1", n)
	}
	r.write("state.yaml", strings.Replace(old, "2025", "2024", 1)) // clocks may jump: only that it changed counts
	r.changes <- apply.StateChanged
	r.next()
	r.kernelHolds("192.0.2.1")
}

// TestRetries has an nft that fails at first.
func TestRetries(t *testing.T) {
	var script string
	r := start(t, nil, func(l *apply.Loop) {
		script = filepath.Join(filepath.Dir(l.StateFile), "nft")
		if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		l.Runner = nft.Runner{Path: script}
	})
	time.Sleep(400 * time.Millisecond)
	if r.kernel() != "" {
		t.Fatal("rules without nft")
	}
	if err := os.WriteFile(script+".new", []byte("#!/bin/sh\nexec /usr/sbin/nft \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(script+".new", script); err != nil {
		t.Fatal(err)
	}
	r.next()
	r.kernelHolds("198.51.100.1")
	if n := r.logged("rules not loaded"); n != 1 {
		t.Errorf("the failure was said %d times, want 1", n)
	}
}

// TestRemove takes out tables of every family, twice, and no others.
func TestRemove(t *testing.T) {
	ns := labtest.Scratch(t)
	err := ns.Do(func() error {
		var r nft.Runner
		text := ""
		for _, family := range []string{"ip", "ip6", "inet"} {
			text += "table " + family + " weft {\n\tset s {\n\t\ttype inet_service\n\t\telements = { 1 }\n\t}\n}\ntable " + family + " other {\n}\n"
		}
		if err := r.Load(t.Context(), text); err != nil {
			return err
		}
		return errors.Join(apply.Remove(t.Context(), r, "weft"), apply.Remove(t.Context(), r, "weft"))
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := ns.Run("nft", "list", "tables")
	if err != nil || strings.Contains(string(out), "weft") || strings.Count(string(out), "other") != 3 {
		t.Errorf("tables left = %q, %v, want the three others", out, err)
	}
}
