package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"weft/examples/lab"
)

// monitor is `nft monitor`, to see when a change is in the kernel.
type monitor struct {
	cmd     *exec.Cmd
	changes chan time.Time // of changes of weft's rules, heartbeats left out
}

// watchRules starts a monitor and returns once it listens. A line about the
// node's own address is a heartbeat.
func watchRules(ctx context.Context, ns *lab.Namespace, address string) (*monitor, error) {
	m := &monitor{cmd: exec.CommandContext(ctx, "nft", "monitor"), changes: make(chan time.Time, 1)}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := ns.Start(m.cmd); err != nil {
		return nil, fmt.Errorf("start nft monitor: %w", err)
	}
	go func() {
		defer close(m.changes)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if line := lines.Text(); strings.Contains(line, " ip weft") && !strings.Contains(line, address) {
				select {
				case m.changes <- time.Now():
				default: // nobody needs more than the first
				}
			}
		}
	}()
	return m, m.awaitSubscription(ctx)
}

// awaitSubscription waits until the kernel lists a netfilter socket with groups
// for the process.
func (m *monitor) awaitSubscription(ctx context.Context) error {
	for range 200 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netlink", m.cmd.Process.Pid))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			// sk, protocol (12 is netfilter), port (the process id), groups
			f := strings.Fields(line)
			if len(f) > 3 && f[1] == "12" && f[2] == fmt.Sprint(m.cmd.Process.Pid) && f[3] != "00000000" {
				return nil
			}
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("nft monitor does not listen")
}

// next is the time of the next change.
func (m *monitor) next(ctx context.Context) (time.Time, error) {
	select {
	case at, ok := <-m.changes:
		if !ok {
			return at, errors.New("nft monitor ended")
		}
		return at, nil
	case <-ctx.Done():
		return time.Time{}, errInterrupted
	case <-time.After(patience):
		return time.Time{}, fmt.Errorf("no change of the rules within %v", patience)
	}
}

func (m *monitor) stop() {
	_ = m.cmd.Process.Kill() // an error means that it ended
	for range m.changes {    // until its output is read to the end
	}
	_ = m.cmd.Wait() // killed
}
