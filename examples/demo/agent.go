package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"weft/examples/lab"
)

// agent is weft, running in the node's namespace.
type agent struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// startAgent starts weft. A process group of its own keeps a Ctrl-C away from it,
// so that the demo decides when it ends.
func startAgent(ns *lab.Namespace, weft string, c config) (*agent, error) {
	log, err := os.OpenFile(filepath.Join(c.Dir, "weft.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	a := &agent{cmd: exec.Command(weft, "run", "--config", c.path()), log: log.Name(), ended: make(chan struct{})}
	a.cmd.Stdout, a.cmd.Stderr = log, log
	// A variable of the user's shell would outdo the configuration.
	a.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEFT_") })
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := ns.Start(a.cmd); err != nil {
		return nil, fmt.Errorf("start weft: %w", err)
	}
	go func() {
		_ = a.cmd.Wait() // how it ended is in its log
		close(a.ended)
	}()
	return a, nil
}

// kill sends SIGKILL and waits for the end.
func (a *agent) kill() error {
	if err := a.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill weft: %w", err)
	}
	<-a.ended
	return nil
}

// stop ends the agent, if it still runs: politely first.
func (a *agent) stop() {
	_ = a.cmd.Process.Signal(syscall.SIGTERM) // an error means that it ended
	select {
	case <-a.ended:
	case <-time.After(5 * time.Second):
		_ = a.cmd.Process.Kill()
		<-a.ended
	}
}

// patience is how long the demo waits for what should take milliseconds.
const patience = 15 * time.Second

// await waits until done reports true, and gives up when weft ends.
func (a *agent) await(ctx context.Context, what string, done func() bool) error {
	deadline := time.Now().Add(patience)
	for !done() {
		select {
		case <-a.ended:
			return fmt.Errorf("weft ended. Its last words:\n%s", a.lastWords())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not happen within %v. weft's last words:\n%s", what, patience, a.lastWords())
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// lastWords are the last lines of the log.
func (a *agent) lastWords() string {
	text, err := os.ReadFile(a.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(text)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-8):], "\n  ")
}
