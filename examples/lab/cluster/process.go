package cluster

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"weft/examples/lab"
)

// Process is a program that runs in a namespace of the cluster.
type Process struct {
	// Name is the program's, or what it is called in the test.
	Name string
	// Log is the file that holds what it says.
	Log string
	// Pid is its process id.
	Pid int

	cmd   *exec.Cmd
	ended chan struct{}
}

// Launch starts a command in a namespace, with its output in a log of the
// cluster's folder unless the command has another place for it. It is killed
// when this process ends, however that ends, and stopped by [Cluster.Close].
func (c *Cluster) Launch(ns *lab.Namespace, name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{Name: name, Log: c.path(name + ".log"), cmd: cmd, ended: make(chan struct{})}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := p.run(ns); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.processes = append(c.processes, p)
	return p, nil
}

// run starts the program and waits for it on one thread, since the kernel means
// the end of the thread that started it when it sends the signal of the parent's
// end (prctl(2), PR_SET_PDEATHSIG).
func (p *Process) run(ns *lab.Namespace) error {
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		_ = ns.Do(func() error {
			err := p.cmd.Start()
			started <- err
			if err == nil {
				_ = p.cmd.Wait() // how it ended is in ProcessState
			}
			return nil
		})
	}()
	if err := <-started; err != nil {
		return err
	}
	p.Pid = p.cmd.Process.Pid
	return nil
}

// Signal sends a signal, such as SIGSTOP.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the program at once and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that it ended
	<-p.ended
}

// stopTimeout is how long a program may take to end by itself.
const stopTimeout = 10 * time.Second

// Stop ends the program: politely first.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it ended
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		p.Kill()
	}
}

// ExitCode is that of a program that has ended; -1 if a signal ended it.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// LastWords are the last lines of the log.
func (p *Process) LastWords() string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(text)), "\n")
	return filepath.Base(p.Log) + ":\n  " + strings.Join(lines[max(0, len(lines)-12):], "\n  ")
}

// await asks until done reports true, and gives up when the program ends or
// after the time.
func (p *Process) await(what string, within time.Duration, done func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := done()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended. %s", p.Name, p.LastWords())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not %s after %v: %w. %s", p.Name, what, within, err, p.LastWords())
		}
	}
}
