package main

import (
	"io"

	"github.com/spf13/cobra"

	"weft/render/apply"
)

func (p *program) renderCommand() *cobra.Command {
	var vars varFlags
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Print the rules that a state asks for",
		Long: `Print the ruleset that the templates make of the state file, linted. It needs
no root, no nft and no cluster: the same state, templates and vars give the same
bytes everywhere.`,
		Example: "  weft render --state examples/states/three-endpoints.yaml\n  weft render --state - --templates cascade < examples/states/three-endpoints.yaml",
		Args:    nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			desired, err := p.desire(cmd, &vars)
			if err != nil {
				return err
			}
			_, err = io.WriteString(p.stdout, desired.Text())
			return err
		},
	}
	vars.add(cmd)
	return cmd
}

// desire is what the state file asks for now.
func (p *program) desire(cmd *cobra.Command, vars *varFlags) (*apply.Desired, error) {
	in, err := p.inputs(vars)
	if err != nil {
		return nil, err
	}
	st, err := p.readState(in.config.State)
	if err != nil {
		return nil, err
	}
	desired, err := apply.Desire(cmd.Context(), in.set, st, in.vars)
	if err != nil {
		return nil, err
	}
	p.warnLeftOut(desired.Result)
	return desired, nil
}
