package main

import (
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
has every NodePort at once, then the tables. Without tables it does nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := p.inputs(&vars)
			if err != nil {
				return err
			}
			return apply.Remove(cmd.Context(), nft.Runner{Path: in.config.Nft}, in.vars.Table())
		},
	}
	vars.add(cmd)
	return cmd
}
