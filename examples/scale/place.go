package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"weft/examples/lab"
	"weft/render"
	"weft/state"
)

// place is what is measured: one set at one size.
type place struct {
	*bench
	set    string
	size   int
	folder string

	st       *state.State
	vars     render.Vars
	renderer *render.Renderer
	ours     *lab.Namespace // the agent's
	bare     *lab.Namespace // that of who writes by hand
	empty    *lab.Namespace // with nothing in it
	agent    *agent
}

func (p *place) close() error {
	if p.agent != nil {
		p.agent.stop()
	}
	var err error
	for _, ns := range []*lab.Namespace{p.ours, p.bare, p.empty} {
		if ns != nil {
			err = errors.Join(err, ns.Close())
		}
	}
	return err
}

// text renders a state.
func (p *place) text(ctx context.Context, st *state.State) (string, error) {
	r, err := p.renderer.Render(ctx, st, p.vars)
	if err != nil {
		return "", err
	}
	return r.Text(), nil
}

// cost is what a program took.
type cost struct {
	time, cpu time.Duration
	memory    float64 // at most, in bytes
}

// nft runs nft in a namespace with a text in a file.
func (p *place) nft(ns *lab.Namespace, text string) (cost, error) {
	file := filepath.Join(p.folder, "by-hand.nft")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return cost{}, err
	}
	return program(ns, "nft", "-f", file)
}

// program runs a program in a namespace. Its memory is looked at while it runs: what the
// kernel counts up to the end begins with the memory of the process that started it.
func program(ns *lab.Namespace, name string, args ...string) (cost, error) {
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := ns.Do(cmd.Start); err != nil {
		return cost{}, fmt.Errorf("%s: %w", name, err)
	}
	ended, most := make(chan struct{}), make(chan float64)
	go func() { most <- peak(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	c := cost{time: time.Since(start)}
	close(ended)
	c.memory = <-most
	if err != nil {
		return cost{}, fmt.Errorf("%s: %w: %s", name, err, out.Bytes())
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return c, nil
}

// peak is the most memory in bytes that a process was seen to have. One that runs for
// long is looked at more rarely.
func peak(pid int, ended <-chan struct{}) (most float64) {
	for wait := 500 * time.Microsecond; ; wait = min(2*wait, 10*time.Millisecond) {
		if now, err := memory(pid, "VmHWM:"); err == nil {
			most = now
		}
		select {
		case <-ended:
			return most
		case <-time.After(wait):
		}
	}
}

// memory is a line of what proc(5) tells of a process, in bytes.
func memory(pid int, which string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read a process's memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == which {
			n, err := strconv.Atoi(f[1])
			return float64(n) * 1024, err
		}
	}
	return 0, errors.New("read a process's memory: no " + which)
}

// settleTime is for the kernel to free what was deleted, which it does behind
// everybody's back.
const settleTime = 200 * time.Millisecond

func (p *place) flush(list ...*lab.Namespace) error {
	for _, ns := range list {
		if _, err := program(ns, "nft", "flush ruleset"); err != nil {
			return err
		}
	}
	time.Sleep(settleTime)
	return nil
}
