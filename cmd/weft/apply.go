package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"weft/cmd/weft/config"
	"weft/render/apply"
	"weft/render/nft"
)

func (p *program) applyCommand() *cobra.Command {
	var vars varFlags
	var dryRun, follow bool
	var confirmWithin time.Duration
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Load the rules that a state asks for",
		Long: `Load the rules that the state file asks for, in one transaction that replaces
weft's own tables and touches nothing else. Without --follow it does so once:
nobody is left to renew a heartbeat, so the rules are loaded without one unless
--heartbeat asks for it. With --follow it stays, follows the state file and the
templates, and renews the heartbeat.

With --confirm-within it waits for ` + "`weft confirm`" + ` from another terminal, and
returns to the rules before (exit code 7) if that does not come in time, or if it
is told to stop. The end of its own terminal does not stop it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if follow {
				return p.follow(cmd.Context(), &vars)
			}
			if confirmWithin < 0 {
				return usage(fmt.Errorf("flag --confirm-within: got %s, expected a time to wait", confirmWithin))
			}
			return p.applyOnce(cmd, vars, dryRun, confirmWithin)
		},
	}
	vars.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the transaction and load nothing")
	cmd.Flags().BoolVar(&follow, "follow", false, "stay, follow the state file and the templates, renew the heartbeat")
	cmd.Flags().DurationVar(&confirmWithin, "confirm-within", 0, "return to the rules before, unless weft confirm comes within this time, such as 60s")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "follow", "confirm-within")
	return cmd
}

func (p *program) applyOnce(cmd *cobra.Command, vars varFlags, dryRun bool, confirmWithin time.Duration) error {
	silent := vars.heartbeat == ""
	if silent {
		vars.heartbeat = "0"
	}
	if dryRun {
		desired, err := p.desire(cmd, &vars)
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.stdout, desired.Transaction())
		return err
	}
	in, err := p.inputs(&vars)
	if err != nil {
		return err
	}
	if err := p.notPinned(in.config); err != nil {
		return err
	}
	err = p.holding(in.config, in.vars.Table(), "weft apply", func() error {
		return p.load(cmd.Context(), in, confirmWithin)
	})
	if err == nil && silent {
		fmt.Fprintln(p.stderr, "weft: the rules have no heartbeat, since nobody stays to renew it: they work until `weft cleanup` (ask for one with --heartbeat)")
	}
	return err
}

// load brings the state file's rules into the kernel and the transaction into
// the history.
func (p *program) load(ctx context.Context, in *inputs, confirmWithin time.Duration) error {
	text, err := p.readStateFile(in.config.State)
	if err != nil {
		return err
	}
	st, err := decodeState(in.config.State, text)
	if err != nil {
		return err
	}
	desired, err := apply.Desire(ctx, in.set, st, in.vars)
	if err == nil {
		p.warnLeftOut(desired.Result)
		err = p.loadProven(ctx, in.config, desired, confirmWithin)
	}
	if e, ok := apply.Record(desired, text, err); ok {
		p.keep(in.config, e)
	}
	return err
}

func (p *program) loadProven(ctx context.Context, c *config.Config, desired *apply.Desired, confirmWithin time.Duration) error {
	runner := nft.Runner{Path: c.Nft}
	once := func() error {
		if err := desired.Load(ctx, runner); err != nil {
			return err
		}
		report, err := desired.Report(ctx)
		if err != nil {
			return err
		}
		if err := unproven(report); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "weft: loaded template set %s and proved %d ServicePorts\n", desired.Set, report.Proven)
		return nil
	}
	if confirmWithin == 0 {
		return once()
	}
	return p.onTrial(ctx, c, desired.Table, confirmWithin, once)
}
