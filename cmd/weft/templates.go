package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"weft/render"
	"weft/templates"
)

func (p *program) templatesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "templates", Short: "List, copy and check template sets", Args: nothingElse, RunE: help}
	cmd.AddCommand(p.templatesListCommand(), p.templatesInitCommand(), p.templatesCheckCommand())
	return cmd
}

// help is what a command does that only has subcommands.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func (p *program) templatesListCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List the shipped template sets and the vars they read", Args: nothingElse,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" {
				return p.print(output, map[string]any{"contract": render.Contract, "sets": append([]string{render.Auto}, templates.Names()...), "vars": render.DefaultVars()})
			}
			w := tabwriter.NewWriter(p.stdout, 6, 4, 3, ' ', 0)
			fmt.Fprintln(w, "SET\tWHAT IT IS")
			fmt.Fprintln(w, "auto\tsimplified up to 64 steered ServicePorts, cascade above")
			fmt.Fprintln(w, "cascade\ta rule for each endpoint; loads fast at any size and slows nobody else's nft")
			fmt.Fprintln(w, "simplified\ta weighted map for each ServicePort; to be read by people")
			fmt.Fprintln(w, "\nVAR\tDEFAULT\tWHAT IT IS")
			for _, v := range render.KnownVars() {
				fmt.Fprintf(w, "%s\t%v\t%s\n", v.Name, v.Default, v.Doc)
			}
			fmt.Fprintf(w, "\nContract with templates: %d\n", render.Contract)
			return w.Flush()
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (p *program) templatesInitCommand() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: "init DIR", Short: "Copy a shipped template set into a folder, to edit it", Args: exactly(1, "a folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := templates.Files(from)
			if err != nil {
				return usage(err)
			}
			return p.writeSet(args[0], files)
		},
	}
	cmd.Flags().StringVar(&from, "from", templates.Simplified, "the shipped set to copy")
	return cmd
}

// writeSet writes the files of a set and overwrites none.
func (p *program) writeSet(folder string, files []templates.File) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the folder of the set: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(folder, f.Name)
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return fmt.Errorf("write template: %w", err)
		}
		_, err = out.WriteString(f.Text)
		if err := errors.Join(err, out.Close()); err != nil {
			return fmt.Errorf("write template: %w", err)
		}
		fmt.Fprintln(p.stdout, path)
	}
	return nil
}
