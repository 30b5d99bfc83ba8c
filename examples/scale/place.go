package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
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

// nft runs nft in a namespace with a text in a file, and says how long that takes
// and how much memory in bytes.
func (p *place) nft(ns *lab.Namespace, text string) (time.Duration, float64, error) {
	file := filepath.Join(p.folder, "by-hand.nft")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return 0, 0, err
	}
	return program(ns, "nft", "-f", file)
}

func program(ns *lab.Namespace, name string, args ...string) (time.Duration, float64, error) {
	cmd := exec.Command(name, args...)
	var out []byte
	var err error
	start := time.Now()
	if doErr := ns.Do(func() error { out, err = cmd.CombinedOutput(); return nil }); doErr != nil {
		return 0, 0, doErr
	}
	took := time.Since(start)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %s", name, err, out)
	}
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return took, float64(usage.Maxrss) * 1024, nil
}

// settleTime is for the kernel to free what was deleted, which it does behind
// everybody's back.
const settleTime = 200 * time.Millisecond

func (p *place) flush(list ...*lab.Namespace) error {
	for _, ns := range list {
		if _, _, err := program(ns, "nft", "flush ruleset"); err != nil {
			return err
		}
	}
	time.Sleep(settleTime)
	return nil
}
