package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weft/examples/lab"
	"weft/state"
)

// agent is `weft apply --follow` at work in a namespace.
type agent struct {
	cmd     *exec.Cmd
	file    string
	encoder state.Encoder
	proven  chan proof
	ended   chan error
}

// proof is a line of its log that says that rules are proven.
type proof struct {
	generation uint64
	at         time.Time
}

// patience is how long weft may take for anything.
const patience = 3 * time.Minute

func startAgent(ctx context.Context, weft, folder, set string, ns *lab.Namespace, st *state.State) (*agent, error) {
	a := &agent{file: filepath.Join(folder, "state.yaml"), proven: make(chan proof, 16), ended: make(chan error, 1)}
	if err := a.write(st); err != nil {
		return nil, err
	}
	a.cmd = exec.Command(weft, "apply", "--follow", "--log-format", "json", "--state", a.file, "--templates", set,
		"--history", filepath.Join(folder, "history"), "--socket", filepath.Join(folder, "status.sock"),
		"--lock", filepath.Join(folder, "lock"), "--listen", "")
	log, err := a.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := ns.Start(a.cmd); err != nil {
		return nil, fmt.Errorf("start weft: %w", err)
	}
	go a.read(log)
	_, err = a.wait(ctx, st.Generation)
	return a, err
}

// read reads the log to its end.
func (a *agent) read(log io.Reader) {
	var last string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		now := time.Now()
		var line struct {
			Level, Msg string
			Generation uint64
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "rules proven" {
			a.proven <- proof{line.Generation, now}
		} else if last = lines.Text(); line.Level == "ERROR" || line.Level == "WARN" {
			a.ended <- errors.New("weft: " + last)
			return
		}
	}
	a.ended <- fmt.Errorf("weft ended: %s: %w", last, a.cmd.Wait())
}

// write gives the agent a state, as its watcher does.
func (a *agent) write(st *state.State) error {
	text, err := a.encoder.Encode(st)
	if err == nil {
		err = os.WriteFile(a.file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(a.file+".new", a.file)
	}
	return err
}

// wait waits until the rules of a generation are proven.
func (a *agent) wait(ctx context.Context, generation uint64) (time.Time, error) {
	late := time.After(patience)
	for {
		select {
		case p := <-a.proven:
			if p.generation == generation {
				return p.at, nil
			}
		case err := <-a.ended:
			return time.Time{}, err
		case <-late:
			return time.Time{}, fmt.Errorf("generation %d is not proven after %s", generation, patience)
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// cpu is how long the agent's threads have run, without nft.
func (a *agent) cpu() (sum time.Duration, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", a.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("read weft's CPU time: %w", errors.Join(err, os.ErrNotExist))
	}
	for _, t := range tasks {
		text, err := os.ReadFile(t)
		if err != nil {
			continue // the thread is gone
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read weft's CPU time: %w", err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// resident is the agent's memory in bytes.
func (a *agent) resident() (float64, error) { return memory(a.cmd.Process.Pid, "VmRSS:") }

func (a *agent) stop() {
	_ = a.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-a.ended:
	case <-time.After(10 * time.Second):
		_ = a.cmd.Process.Kill()
	}
}
