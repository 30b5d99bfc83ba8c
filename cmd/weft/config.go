package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"weft/cmd/weft/config"
)

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check and show the configuration", Args: nothingElse, RunE: help}
	cmd.AddCommand(p.configCheckCommand(), p.configViewCommand())
	return cmd
}

func (p *program) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Say all that is wrong with the configuration, its templates and vars", Args: nothingElse,
		RunE: func(*cobra.Command, []string) error {
			in, err := p.inputs(&varFlags{})
			if err != nil {
				return err
			}
			if _, err := gather(in.config); err != nil {
				return usage(err)
			}
			name := in.config.File
			if name == "" {
				name = "configuration without a file"
			}
			fmt.Fprintf(p.stdout, "%s: good\n", name)
			return nil
		},
	}
}

func (p *program) configViewCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "view", Short: "Show the effective configuration and where each value came from", Args: nothingElse,
		RunE: func(*cobra.Command, []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			if output != "text" {
				return p.print(output, view(c))
			}
			w := tabwriter.NewWriter(p.stdout, 6, 4, 3, ' ', 0)
			fmt.Fprintln(w, "KEY\tVALUE\tFROM")
			for _, e := range view(c) {
				fmt.Fprintf(w, "%s\t%v\t%s\n", e.Key, e.Value, e.From)
			}
			return w.Flush()
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// entry is a key with its effective value.
type entry struct {
	Key   string `json:"key" yaml:"key"`
	Value any    `json:"value" yaml:"value"`
	From  string `json:"from" yaml:"from"`
}

func view(c *config.Config) []entry {
	var entries []entry
	for _, k := range config.Keys() {
		value := c.Value(k)
		if d, ok := value.(config.Duration); ok {
			value = d.String()
		}
		entries = append(entries, entry{k.Name, value, c.Origins[k.Name]})
	}
	return entries
}
