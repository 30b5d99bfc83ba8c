package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
	"weft/state"
)

// setCheck is one run of `weft templates check`.
type setCheck struct {
	*program
	*inputs
	prove  bool
	remade map[render.Place]bool
}

func (p *program) templatesCheckCommand() *cobra.Command {
	var vars varFlags
	c := &setCheck{program: p, remade: map[render.Place]bool{}}
	cmd := &cobra.Command{
		Use: "check DIR", Short: "Say whether this weft can use a template set", Args: exactly(1, "a folder or the name of a set"),
		Long: `Parse a template set, render it for the state file that --state names, or for
sample states (none, one and several ServicePorts, both families, every
protocol), and lint what comes out. It needs no root and no nft. With --prove it
does: the rules are loaded in a network namespace of their own, read back and
compared with the states.

Run it with a new weft before an upgrade: a set for a newer contract is refused,
of one for an older contract it says what changed since.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmd.Root().PersistentFlags().Set("templates", args[0]); err != nil {
				return err
			}
			var err error
			if c.inputs, err = p.inputs(&vars); err != nil {
				return err
			}
			states, err := c.states(cmd.Flags().Changed("state"))
			if err != nil {
				return err
			}
			return c.run(cmd.Context(), args[0], states)
		},
	}
	vars.add(cmd)
	cmd.Flags().BoolVar(&c.prove, "prove", false, "load the rules where no packet is, and prove them (root)")
	return cmd
}

// states are those to render for: the state file, if somebody named one.
func (c *setCheck) states(named bool) ([]*state.State, error) {
	if !named {
		return sampleStates(c.vars.HashesAffinity())
	}
	st, err := c.readState(c.inputs.config.State)
	return []*state.State{st}, err
}

func (c *setCheck) run(ctx context.Context, name string, states []*state.State) error {
	for i, st := range states {
		if err := c.try(ctx, st); err != nil {
			return fmt.Errorf("for state %d of %d (node %s, %d ServicePorts): %w", i+1, len(states), st.Node, len(st.ServicePorts), err)
		}
	}
	c.tellRemade()
	c.tellContract(name)
	done := "rendered"
	if c.prove {
		done = "rendered and proven"
	}
	_, err := fmt.Fprintf(c.stdout, "%s: good, %s for %d states\n", name, done, len(states))
	return err
}

func (c *setCheck) try(ctx context.Context, st *state.State) error {
	desired, err := apply.Desire(ctx, c.set, st, c.vars)
	if err != nil {
		return err
	}
	c.warnLeftOut(desired.Result)
	for _, place := range desired.Remade() {
		c.remade[place] = true
	}
	if !c.prove {
		return nil
	}
	return desired.Rehearse(ctx, nft.Runner{Path: c.inputs.config.Nft})
}

// tellRemade says which lines make a set slow where there are many ServicePorts.
func (c *setCheck) tellRemade() {
	places := slices.SortedFunc(maps.Keys(c.remade), func(a, b render.Place) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	for _, place := range places {
		fmt.Fprintf(c.stdout, "note: %s is made anew for all ServicePorts when one changes: it uses more than the one in hand, or more is done with its text than to write it\n", place)
	}
}

// tellContract says what a set of another contract should look at.
func (c *setCheck) tellContract(name string) {
	for _, function := range c.set.Ahead() {
		fmt.Fprintf(c.stdout, "note: %s names contract %d and calls %s: name that one, so that an older weft says what is wrong\n", name, c.set.Contract, function)
	}
	since := render.Since(c.set.Contract)
	if len(since) == 0 {
		return
	}
	fmt.Fprintf(c.stdout, "note: %s is for contract %d, and this weft has contract %d. What changed:\n", name, c.set.Contract, render.Contract)
	for _, change := range since {
		fmt.Fprintf(c.stdout, "  contract %d: %s\n", change.Contract, change.Text)
	}
}
