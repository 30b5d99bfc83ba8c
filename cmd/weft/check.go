package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"weft/render/nft"
	"weft/render/preflight"
)

func (p *program) checkCommand() *cobra.Command {
	var vars varFlags
	var output string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find out whether weft can work on this node",
		Long: `Look at what weft needs of this node: capabilities, nft, the kernel's features
(each is tried in a network namespace made for the purpose), forwarding, chains
of others that are in the way, connection tracking, kube-proxy and Cilium. Each
finding says what to do about it. Nothing is changed.

Exit code 0: weft can work, perhaps with warnings. 1: it cannot.`,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := p.inputs(&vars)
			if err != nil {
				return err
			}
			return p.reportCheck(preflight.Run(cmd.Context(), p.checkOptions(in)), output)
		},
	}
	vars.add(cmd)
	outputFlag(cmd, &output)
	return cmd
}

// checkOptions takes the address families from the state file, if there is a
// good one yet.
func (p *program) checkOptions(in *inputs) preflight.Options {
	priority, _ := in.vars["priority"].(int) // a checked var
	opts := preflight.Options{Runner: nft.Runner{Path: in.config.Nft}, Table: in.vars.Table(), Priority: priority}
	if st, err := p.readState(in.config.State); err == nil {
		for _, a := range st.Addresses {
			opts.IPv4 = opts.IPv4 || a.Is4()
			opts.IPv6 = opts.IPv6 || !a.Is4()
		}
	}
	return opts
}

// reportCheck prints findings; its exit code tells whether weft can work.
func (p *program) reportCheck(findings []preflight.Finding, output string) error {
	if output != "text" {
		if err := p.print(output, map[string]any{"worst": preflight.Worst(findings), "findings": findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			fmt.Fprintf(p.stdout, "%-8s %s: %s\n", f.Level, f.Check, f.Found)
			if f.Advice != "" {
				fmt.Fprintf(p.stdout, "%-8s %s\n", "", f.Advice)
			}
		}
	}
	if preflight.Worst(findings) == preflight.Error {
		return coded{exitError, errSilent}
	}
	return nil
}
