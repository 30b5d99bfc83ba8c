package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"weft/render/apply"
	"weft/render/nft"
)

func (p *program) cleanupCommand() *cobra.Command {
	var vars varFlags
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Take weft's rules out of the kernel",
		Long: `Take weft's tables out of the kernel: first their elements, so that kube-proxy
has every NodePort at once, then the tables. Without tables it does nothing. An
agent that runs is told of, and not waited for: it would put the rules back.`,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := p.inputs(&vars)
			if err != nil {
				return err
			}
			remove := func() error {
				return apply.Remove(cmd.Context(), nft.Runner{Path: in.config.Nft}, in.vars.Table())
			}
			err = p.holding(in.config, in.vars.Table(), "weft cleanup", remove)
			if notTaken := (*lockError)(nil); errors.As(err, &notTaken) {
				fmt.Fprintf(p.stderr, "weft: warning: %v; whoever that is may put the rules back\n", err)
				return remove()
			}
			return err
		},
	}
	vars.add(cmd)
	return cmd
}
