package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"weft/examples/lab"
)

// process is a process in a namespace, which ends when its standard input does, or
// else is killed.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{}
	err   error // once ended
}

// start starts this program in another role.
func start(ns *lab.Namespace, stdout, stderr io.Writer, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// A variable of the user's shell would outdo weft's configuration.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEFT_") })
	cmd.Env = append(cmd.Env, roleVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the parent
	if args[0] == roleInside {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := ns.Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// roleVariable tells a test's program that it is to be one of the processes.
const roleVariable = "BENCH_ROLE"

// kill is what a machine without power does to a process.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it ended
	<-p.ended
	_ = p.stdin.Close()
}

// sleep waits, unless the context ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
