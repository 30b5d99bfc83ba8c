package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) stateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "state", Short: "Look at state files", Args: nothingElse, RunE: help}
	cmd.AddCommand(&cobra.Command{
		Use: "check FILE", Short: "Say all that is wrong with a state file", Args: exactly(1, "a state file, or - for standard input"),
		RunE: func(_ *cobra.Command, args []string) error {
			st, err := p.readState(args[0])
			if err != nil {
				return err
			}
			skipped := 0
			for _, sp := range st.ServicePorts {
				if !sp.Steered() {
					skipped++
				}
			}
			fmt.Fprintf(p.stdout, "%s: good, generation %d of node %s: %d ServicePorts steered, %d skipped, %d nodes\n",
				args[0], st.Generation, st.Node, len(st.ServicePorts)-skipped, skipped, len(st.Nodes))
			return nil
		},
	})
	return cmd
}
