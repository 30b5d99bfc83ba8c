package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"weft/render/nft"
)

func (p *program) applyCommand() *cobra.Command {
	var vars varFlags
	var dryRun, follow bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Load the rules that a state asks for",
		Long: `Load the rules that the state file asks for, in one transaction that replaces
weft's own tables and touches nothing else. Without --follow it does so once:
nobody is left to renew a heartbeat, so the rules are loaded without one unless
--heartbeat asks for it. With --follow it stays, follows the state file and the
templates, and renews the heartbeat.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if follow {
				return p.follow(cmd.Context(), &vars)
			}
			return p.applyOnce(cmd, vars, dryRun)
		},
	}
	vars.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the transaction and load nothing")
	cmd.Flags().BoolVar(&follow, "follow", false, "stay, follow the state file and the templates, renew the heartbeat")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "follow")
	return cmd
}

func (p *program) applyOnce(cmd *cobra.Command, vars varFlags, dryRun bool) error {
	silent := vars.heartbeat == ""
	if silent {
		vars.heartbeat = "0"
	}
	desired, err := p.desire(cmd, &vars)
	if err != nil {
		return err
	}
	if dryRun {
		_, err := io.WriteString(p.stdout, desired.Transaction())
		return err
	}
	c, err := p.config()
	if err != nil {
		return err
	}
	if err := desired.Load(cmd.Context(), nft.Runner{Path: c.Nft}); err != nil {
		return err
	}
	report, err := desired.Report(cmd.Context())
	if err != nil {
		return err
	}
	if err := unproven(report); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "weft: loaded template set %s and proved %d ServicePorts\n", desired.Set, report.Proven)
	if silent {
		fmt.Fprintln(p.stderr, "weft: the rules have no heartbeat, since nobody stays to renew it: they work until `weft cleanup` (ask for one with --heartbeat)")
	}
	return nil
}
