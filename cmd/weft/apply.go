package main

import (
	"context"
	"errors"
	"fmt"
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
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Load the rules that a state asks for",
		Long: `Load the rules that the state file asks for, in one transaction that changes
what differs in weft's own tables and touches nothing else. Without --follow it
does so once: nobody is left to renew a heartbeat, so the rules are loaded without
one unless --heartbeat asks for it. With --follow it stays, follows the state file
and the templates, and renews the heartbeat.

With --dry-run it prints the transaction and loads nothing: as text, or with
-o json as libnftables JSON for nft -j -f. What nft's JSON cannot say is an error
that names it.

With --confirm-within it waits for ` + "`weft confirm`" + ` from another terminal, and
returns to the rules before (exit code 7) if that does not come in time, or if it
is told to stop. The end of its own terminal does not stop it.`,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !dryRun && (flags.output != "" || flags.withoutComments) {
				return usage(errors.New("flags --output and --without-comments: expected --dry-run with them"))
			}
			if err := flags.check("nft", "json"); err != nil {
				return err
			}
			if follow {
				return p.follow(cmd.Context(), &vars)
			}
			if confirmWithin < 0 {
				return usage(fmt.Errorf("flag --confirm-within: got %s, expected a time to wait", confirmWithin))
			}
			if dryRun {
				return p.dryRun(cmd, vars, &flags)
			}
			return p.applyOnce(cmd, vars, confirmWithin)
		},
	}
	vars.add(cmd)
	flags.add(cmd, "nft, json (default nft), of --dry-run")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the transaction and load nothing")
	cmd.Flags().BoolVar(&follow, "follow", false, "stay, follow the state file and the templates, renew the heartbeat")
	cmd.Flags().DurationVar(&confirmWithin, "confirm-within", 0, "return to the rules before, unless weft confirm comes within this time, such as 60s")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "follow", "confirm-within")
	return cmd
}

func (p *program) dryRun(cmd *cobra.Command, vars varFlags, flags *planFlags) error {
	if vars.heartbeat == "" {
		vars.heartbeat = "0"
	}
	desired, err := p.desire(cmd, &vars)
	if err != nil {
		return err
	}
	c, err := p.config()
	if err != nil {
		return err
	}
	return p.printDryRun(cmd.Context(), c, desired, flags)
}

func (p *program) applyOnce(cmd *cobra.Command, vars varFlags, confirmWithin time.Duration) error {
	collect(once)
	silent := vars.heartbeat == ""
	if silent {
		vars.heartbeat = "0"
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
		report, err := desired.LoadAndReport(ctx, runner)
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
