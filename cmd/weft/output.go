package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"weft/state/strict"
)

// outputFlag adds -o.
func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "form of the output: text, json, yaml")
}

// print writes a value as json or yaml.
func (p *program) print(form string, v any) error {
	switch form {
	case "json":
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	case "yaml":
		text, err := strict.Marshal(v)
		if err == nil {
			_, err = p.stdout.Write(text)
		}
		return err
	}
	return usage(fmt.Errorf("flag --output: got %q, expected text, json or yaml", form))
}

// exactly is cobra.ExactArgs with a message that says what is wanted.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(fmt.Errorf("%s: got %d arguments, expected %s", cmd.CommandPath(), len(args), what))
		}
		return nil
	}
}
