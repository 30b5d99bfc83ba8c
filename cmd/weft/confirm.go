package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"weft/cmd/weft/config"
	"weft/render/apply"
	"weft/render/nft"
)

// A trial is one file in the folder of the history, which whoever waits keeps
// locked. Its name says how far it is, and a renaming is what decides: of
// `weft confirm` and the end of the wait, one alone finds the file as it was.
const (
	trialPrepared  = ".unconfirmed"
	trialWaiting   = "unconfirmed"
	trialConfirmed = "confirmed"
)

// look is the time between two looks whether the confirmation came.
const look = 50 * time.Millisecond

func (p *program) confirmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm",
		Short: "Keep the rules that apply --confirm-within has loaded",
		Args:  nothingElse,
		RunE: func(*cobra.Command, []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			if err := confirm(c.History); err != nil {
				return err
			}
			fmt.Fprintln(p.stderr, "weft: confirmed: the rules stay")
			return nil
		},
	}
}

var errNoTrial = errors.New("no `weft apply --confirm-within` waits for a confirmation")

// confirm tells the one who waits to keep the rules. Without an error it does.
func confirm(folder string) error {
	waiting := filepath.Join(folder, trialWaiting)
	if !waits(waiting) {
		return errNoTrial
	}
	err := os.Rename(waiting, filepath.Join(folder, trialConfirmed))
	if errors.Is(err, fs.ErrNotExist) {
		return errNoTrial
	}
	if err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	return nil
}

// waits reports whether a living process has the trial's file.
func waits(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return flock(file) != nil
}

// trial is rules that are to be confirmed.
type trial struct {
	folder string
	file   *os.File
}

func newTrial(folder string) (*trial, error) {
	if folder == "" {
		return nil, usage(errors.New("flag --confirm-within: the confirmation comes through the folder of the history, and the key history is empty"))
	}
	if waits(filepath.Join(folder, trialWaiting)) {
		return nil, errors.New("another `weft apply` waits for its confirmation")
	}
	t := &trial{folder: folder}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("prepare the confirmation: %w", err)
	}
	file, err := os.OpenFile(t.path(trialPrepared), os.O_CREATE|os.O_RDWR, 0o644)
	if err == nil {
		t.file = file
		err = flock(file)
	}
	if err != nil {
		return nil, fmt.Errorf("prepare the confirmation: %w", err)
	}
	return t, nil
}

func (t *trial) path(name string) string { return filepath.Join(t.folder, name) }

// wait is true when the rules are confirmed, and false when that did not happen
// before the time or the context ended.
func (t *trial) wait(ctx context.Context, within time.Duration) (bool, error) {
	if err := os.Rename(t.path(trialPrepared), t.path(trialWaiting)); err != nil {
		return false, fmt.Errorf("wait for the confirmation: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return t.settle(), nil
		case <-ticker.C:
			if isAt(t.file, t.path(trialConfirmed)) {
				return true, nil
			}
		}
	}
}

// settle ends the wait. The confirmation that came just before still counts, and
// one that comes after finds nobody.
func (t *trial) settle() bool {
	_ = os.Remove(t.path(trialWaiting)) // fails if the confirmation was first
	return isAt(t.file, t.path(trialConfirmed))
}

// end removes what the trial left.
func (t *trial) end() {
	for _, name := range []string{trialPrepared, trialWaiting, trialConfirmed} {
		if isAt(t.file, t.path(name)) {
			_ = os.Remove(t.path(name)) // without its lock it says nothing
		}
	}
	t.file.Close()
}

// onTrial loads rules, and returns to those before if they are not proven or not
// confirmed.
func (p *program) onTrial(ctx context.Context, c *config.Config, table string, within time.Duration, load func() error) error {
	defer surviveTerminal()()
	t, err := newTrial(c.History)
	if err != nil {
		return err
	}
	defer t.end()
	before, err := remember(ctx, nft.Runner{Path: c.Nft}, table)
	if err != nil {
		return err
	}
	err = load()
	if refused := (*apply.Refusal)(nil); errors.As(err, &refused) {
		return err // the kernel is as it was
	}
	if err == nil {
		fmt.Fprintf(p.stderr, "weft: `weft confirm` within %s keeps these rules\n", within)
		var confirmed bool
		if confirmed, err = t.wait(ctx, within); confirmed {
			return nil
		}
	}
	return p.goBack(ctx, before, within, err)
}

// goBack returns to the rules before; why is nil if the confirmation did not come.
func (p *program) goBack(ctx context.Context, before *earlier, within time.Duration, why error) error {
	switch {
	case why != nil:
	case ctx.Err() != nil:
		why = errors.New("told to stop before `weft confirm` came")
	default:
		why = fmt.Errorf("no `weft confirm` within %s", within)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), nft.DefaultTimeout)
	defer cancel()
	if err := before.restore(ctx); err != nil {
		return fmt.Errorf("%w; returning to the rules before did not work either: %w", why, err)
	}
	return coded{exitReturned, fmt.Errorf("%w: the rules before are back", why)}
}

// surviveTerminal keeps the end of the terminal, or of the pipe that stands for
// it, from ending weft: rules that cut an operator off are what a trial is for.
func surviveTerminal() (undo func()) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGHUP, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// earlier is what the kernel held before, as nft lists it.
type earlier struct {
	runner nft.Runner
	table  string
	text   string
}

// remember takes down what the kernel holds, and makes sure that nft would load
// it again: there is no way back otherwise, and so no trial.
func remember(ctx context.Context, runner nft.Runner, table string) (*earlier, error) {
	text, err := apply.Listing(ctx, runner, table)
	if err != nil {
		return nil, err
	}
	e := &earlier{runner, table, text}
	if err := runner.Check(ctx, e.transaction()); err != nil {
		return nil, fmt.Errorf("the rules of now could not be loaded again, so there would be no way back: %w", err)
	}
	return e, nil
}

func (e *earlier) transaction() string { return apply.Removal(e.table) + e.text }

func (e *earlier) restore(ctx context.Context) error {
	if e.text == "" {
		return apply.Remove(ctx, e.runner, e.table)
	}
	if err := e.runner.Load(ctx, e.transaction()); err != nil {
		return err
	}
	now, err := apply.Listing(ctx, e.runner, e.table)
	if err == nil && now != e.text {
		err = errors.New("nft lists other rules than before")
	}
	return err
}
