package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"weft/render"
	"weft/render/apply"
	"weft/state"
	"weft/templates"
)

func (p *program) templatesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "templates", Short: "List, copy and check template sets", Args: cobra.NoArgs, RunE: help}
	cmd.AddCommand(p.templatesListCommand(), p.templatesInitCommand(), p.templatesCheckCommand())
	return cmd
}

// help is what a command does that only has subcommands.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func (p *program) templatesListCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List the shipped template sets and the vars they read", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" {
				return p.print(output, map[string]any{"sets": append([]string{render.Auto}, templates.Names()...), "vars": render.DefaultVars()})
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

func (p *program) templatesCheckCommand() *cobra.Command {
	var vars varFlags
	cmd := &cobra.Command{
		Use: "check DIR", Short: "Render a template set for sample states and lint it", Args: exactly(1, "a folder or the name of a set"),
		Long: `Parse a template set, render it for the state file that --state names, or for
sample states (none, one and several ServicePorts, both families, every
protocol), and lint what comes out. It needs no root and no nft.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmd.Root().PersistentFlags().Set("templates", args[0]); err != nil {
				return err
			}
			in, err := p.inputs(&vars)
			if err != nil {
				return err
			}
			states, err := p.checkStates(cmd, in)
			if err != nil {
				return err
			}
			remade := map[render.Place]bool{}
			for _, st := range states {
				desired, err := apply.Desire(cmd.Context(), in.set, st, in.vars)
				if err != nil {
					return err
				}
				p.warnLeftOut(desired.Result)
				for _, place := range desired.Remade() {
					remade[place] = true
				}
			}
			p.tellRemade(remade)
			fmt.Fprintf(p.stdout, "%s: good, rendered for %d states\n", args[0], len(states))
			return nil
		},
	}
	vars.add(cmd)
	return cmd
}

// tellRemade says which lines make a set slow where there are many ServicePorts.
func (p *program) tellRemade(remade map[render.Place]bool) {
	places := slices.SortedFunc(maps.Keys(remade), func(a, b render.Place) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	for _, place := range places {
		fmt.Fprintf(p.stdout, "note: %s is made anew for all ServicePorts when one changes: it uses more than the one in hand, or more is done with its text than to write it\n", place)
	}
}

func (p *program) checkStates(cmd *cobra.Command, in *inputs) ([]*state.State, error) {
	if !cmd.Flags().Changed("state") {
		return sampleStates()
	}
	st, err := p.readState(in.config.State)
	return []*state.State{st}, err
}
