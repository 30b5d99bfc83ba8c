package main

import (
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"weft/render/apply"
	"weft/render/nft"
)

func (p *program) diffCommand() *cobra.Command {
	var vars varFlags
	var output string
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show what apply would change in the kernel",
		Long: `Show what apply would change in the kernel, as nft lists it: lines with - are
there now, lines with + would be. Exit code 0 is no change, 2 is changes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			return p.diff(cmd, desired, nft.Runner{Path: c.Nft}, output)
		},
	}
	vars.add(cmd)
	outputFlag(cmd, &output)
	return cmd
}

func (p *program) diff(cmd *cobra.Command, desired *apply.Desired, runner nft.Runner, output string) error {
	now, err := apply.Listing(cmd.Context(), runner, desired.Table)
	if err != nil {
		return err
	}
	then, err := desired.Listing(cmd.Context(), runner)
	if err != nil {
		return err
	}
	text := string(diff.Diff("kernel", []byte(now), "desired", []byte(then)))
	if output == "text" {
		_, err = p.stdout.Write([]byte(text))
	} else {
		err = p.print(output, map[string]any{"changed": now != then, "nft": text})
	}
	if err == nil && now != then {
		err = coded{exitChanges, errSilent}
	}
	return err
}
