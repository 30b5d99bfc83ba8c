package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"weft/examples/lab"
)

// processes are those that a script has started, by name.
type processes map[string]*exec.Cmd

// newProcesses sees to it that none outlives the script.
func newProcesses(env *testscript.Env) processes {
	all := processes{}
	env.Defer(func() {
		for _, cmd := range all {
			if cmd.ProcessState == nil {
				_ = cmd.Process.Kill() // an error means that it ended
				_ = cmd.Wait()
			}
		}
	})
	return all
}

func (all processes) get(ts *testscript.TestScript, name string) *exec.Cmd {
	cmd := all[name]
	if cmd == nil {
		ts.Fatalf("no process %s was started", name)
	}
	return cmd
}

// start NAME CMD... starts a command in the script's namespace. What it says on
// standard error is in the file NAME.err.
func start(ts *testscript.TestScript, _ bool, args []string) {
	cmd := command(ts, args[1:])
	said, err := os.Create(ts.MkAbs(args[0] + ".err"))
	ts.Check(err)
	defer said.Close()
	cmd.Stderr = said
	ts.Check(ts.Value("node").(*lab.Namespace).Do(cmd.Start))
	ts.Value("processes").(processes)[args[0]] = cmd
}

// await FILE TEXT waits until the file has the text in it.
func await(ts *testscript.TestScript, _ bool, args []string) {
	var text []byte
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, _ = os.ReadFile(ts.MkAbs(args[0])) // it may come later
		if strings.Contains(string(text), args[1]) {
			return
		}
	}
	ts.Fatalf("%s does not get %q in it:\n%s", args[0], args[1], text)
}

// signal NAME SIGNAL... sends signals such as SIGTERM.
func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	cmd := ts.Value("processes").(processes).get(ts, args[0])
	for _, name := range args[1:] {
		ts.Check(cmd.Process.Signal(unix.SignalNum(name)))
	}
}

// finish NAME CODE waits for the end of a process, and compares the exit code; a
// process that a signal ended has the code -1.
func finish(ts *testscript.TestScript, _ bool, args []string) {
	cmd := ts.Value("processes").(processes).get(ts, args[0])
	_ = cmd.Wait() // the code says it
	if code := strconv.Itoa(cmd.ProcessState.ExitCode()); code != args[1] {
		ts.Fatalf("%s: exit code %s, want %s:\n%s", args[0], code, args[1], ts.ReadFile(args[0]+".err"))
	}
}
