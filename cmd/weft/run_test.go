package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

// live is a weft that runs in a namespace of its own, with its files.
type live struct {
	t   *testing.T
	ns  *lab.Namespace
	dir string
	cmd *exec.Cmd
	log *os.File
}

// build compiles weft: a process is what gets signals and dies.
func build(t *testing.T) string {
	t.Helper()
	labtest.RequireKernel(t)
	path := filepath.Join(t.TempDir(), "weft")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func launch(t *testing.T, weft string, args ...string) *live {
	t.Helper()
	l := prepare(t)
	l.write("weft.yaml", configText(1, ""))
	l.begin(weft, args...)
	return l
}

func prepare(t *testing.T) *live {
	t.Helper()
	return &live{t: t, ns: labtest.Scratch(t), dir: t.TempDir()}
}

func (l *live) begin(weft string, args ...string) {
	l.t.Helper()
	var err error
	if l.log, err = os.OpenFile(filepath.Join(l.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.cmd = exec.Command(weft, append([]string{"run", "--config", filepath.Join(l.dir, "weft.yaml")}, args...)...)
	l.cmd.Stderr = l.log
	if err := l.ns.Do(l.cmd.Start); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.end(syscall.SIGKILL) })
}

// end sends a signal and waits for the process.
func (l *live) end(signal os.Signal) *os.ProcessState {
	if l.cmd.ProcessState == nil {
		_ = l.cmd.Process.Signal(signal) // it may have ended by itself
		_ = l.cmd.Wait()                 // its exit code is what the caller looks at
		l.log.Close()
	}
	return l.cmd.ProcessState
}

func configText(weight int, more string) string {
	return `node: n1
state: run/state.yaml
history: run/history
lock: run/lock
socket: run/weft.sock
vars:
  heartbeat: 2s
static:
  addresses: [192.0.2.1]
  services:
  - name: web
    nodePort: 30000
    endpoints:
    - {address: 198.51.100.1, port: 80, weight: ` + string(rune('0'+weight)) + `}
    - {address: 198.51.100.2, port: 80}
` + more
}

func (l *live) write(name, text string) {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		l.t.Fatal(err)
	}
}

func (l *live) read(name string) string {
	text, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

func (l *live) kernel() string {
	out, err := l.ns.Run("nft", "list", "ruleset")
	if err != nil {
		l.t.Fatal(err)
	}
	return string(out)
}

// eventually waits for the kernel's rules to hold a text, or not to.
func (l *live) eventually(text string, want bool) {
	l.t.Helper()
	end := time.Now().Add(10 * time.Second)
	for strings.Contains(l.kernel(), text) != want {
		if time.Now().After(end) {
			l.t.Fatalf("the kernel holds %q: %v, want %v\n%s\n%s", text, !want, want, l.kernel(), l.read("log"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestRunFollowsItsFiles(t *testing.T) {
	weft := build(t)
	l := launch(t, weft)
	l.eventually("0-49 : 198.51.100.1", true)

	l.write("weft.yaml", configText(3, ""))
	l.eventually("0-74 : 198.51.100.1", true)

	l.write("weft.yaml", configText(3, "logLevl: debug\n"))
	time.Sleep(300 * time.Millisecond)
	if got := strings.Count(l.read("log"), "configuration refused"); got != 1 {
		t.Errorf("a broken configuration was refused %d times, want once", got)
	}
	l.eventually("0-74 : 198.51.100.1", true)

	if out, err := exec.Command(weft, "templates", "init", filepath.Join(l.dir, "mine"), "--from", "cascade").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	l.write("weft.yaml", configText(3, "templates: ./mine\n"))
	l.eventually("numgen random mod 100 < 75", true)

	mine := l.read("mine/_service.nft.tmpl")
	l.write("mine/_service.nft.tmpl", strings.ReplaceAll(mine, "comment {{ .Comment }}", `comment "edited"`))
	l.eventually(`comment "edited"`, true)

	l.write("mine/_service.nft.tmpl", "{{ broken")
	time.Sleep(300 * time.Millisecond)
	l.eventually(`comment "edited"`, true)
	if !strings.Contains(l.read("log"), "mine/_service.nft.tmpl:1: function") {
		t.Errorf("nobody said what is wrong with the template:\n%s", l.read("log"))
	}
	l.write("mine/_service.nft.tmpl", mine)
	l.eventually("edited", false)

	if _, err := l.ns.Run("nft", "delete", "table", "ip", "weft"); err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	l.eventually("numgen random mod 100 < 75", true)
}

// TestRestartInterruptsNothing stops weft, whose rules stay, starts it again
// within the heartbeat, and at last lets the heartbeat end.
func TestRestartInterruptsNothing(t *testing.T) {
	weft := build(t)
	l := launch(t, weft)
	l.eventually("192.0.2.1", true)
	l.write("weft.yaml", configText(2, ""))
	l.eventually("0-66", true)
	if code := l.end(syscall.SIGTERM).ExitCode(); code != 0 {
		t.Errorf("exit code after SIGTERM = %d, want 0", code)
	}
	l.eventually("198.51.100.1", true)
	generation := l.read("run/state.yaml")
	l.begin(weft)
	time.Sleep(2500 * time.Millisecond)
	l.eventually("192.0.2.1", true)
	if got, want := field(l.read("run/state.yaml"), "generation"), field(generation, "generation"); got != want {
		t.Errorf("the generation after a restart without a change = %s, want %s", got, want)
	}
	l.end(syscall.SIGKILL)
	l.eventually("192.0.2.1", false)
}

// TestEditWhileDown edits a template so that connections go as before while no
// weft runs: the next one must load it all the same.
func TestEditWhileDown(t *testing.T) {
	weft := build(t)
	l := launch(t, weft, "--templates", "simplified")
	l.eventually("192.0.2.1", true)
	for !strings.Contains(l.read("log"), "rules proven") {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // for the history, which is written after it
	l.end(syscall.SIGTERM)
	mine := filepath.Join(l.dir, "mine")
	if out, err := exec.Command(weft, "templates", "init", mine).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	l.write("mine/_table.nft.tmpl", strings.Replace(l.read("mine/_table.nft.tmpl"), "NodePort traffic\"", "edited\"", 1))
	l.begin(weft, "--templates", mine)
	l.eventually("edited", true)
}

func field(text, name string) string {
	_, after, _ := strings.Cut(text, name+": ")
	value, _, _ := strings.Cut(after, "\n")
	return value
}

func TestCleanupOnExit(t *testing.T) {
	l := launch(t, build(t), "--cleanup-on-exit")
	l.eventually("192.0.2.1", true)
	l.end(syscall.SIGTERM)
	if got := l.kernel(); got != "" {
		t.Errorf("rules left after the end:\n%s", got)
	}
}
