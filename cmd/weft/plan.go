package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"weft/cmd/weft/config"
	"weft/render/apply"
	"weft/render/nft"
)

// planFlags choose the form of a transaction.
type planFlags struct {
	output          string
	withoutComments bool
}

func (f *planFlags) add(cmd *cobra.Command, forms string) {
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "form of the output: "+forms)
	cmd.Flags().BoolVar(&f.withoutComments, "without-comments", false, "with -o json: leave out the comments of tables, chains, sets and maps, which nft's JSON cannot carry")
}

// check completes and checks the flags against the forms that a command has; the
// first is its default.
func (f *planFlags) check(forms ...string) error {
	if f.output == "" {
		f.output = forms[0]
	}
	if f.withoutComments && f.output != "json" {
		return usage(fmt.Errorf("flag --without-comments: got -o %s, expected -o json: nft's text carries all comments", f.output))
	}
	for _, form := range forms {
		if f.output == form {
			return nil
		}
	}
	return usage(fmt.Errorf("flag --output: got %q, expected %s", f.output, alternatives(forms)))
}

// alternatives is a list in words.
func alternatives(words []string) string {
	text := words[0]
	for i, w := range words[1:] {
		if i == len(words)-2 {
			text += " or " + w
		} else {
			text += ", " + w
		}
	}
	return text
}

// printPlan prints what it takes to make the kernel hold the desired rules, and
// reports whether it takes anything.
func (p *program) printPlan(ctx context.Context, c *config.Config, desired *apply.Desired, flags *planFlags) (changes bool, err error) {
	runner := nft.Runner{Path: c.Nft}
	asJSON := flags.output == "json"
	plan, err := desired.Plan(ctx, runner, apply.PlanOptions{JSON: asJSON, WithoutComments: flags.withoutComments})
	if err != nil {
		return false, err
	}
	text := plan.Text()
	if asJSON {
		document, err := plan.JSON(ctx, runner)
		if err != nil {
			return false, inexpressible(err)
		}
		text = string(document)
	}
	_, err = io.WriteString(p.stdout, text)
	return !plan.Empty(), err
}

// inexpressible adds the way out to what nft's JSON cannot say.
func inexpressible(err error) error {
	return fmt.Errorf("write the transaction as JSON: %w\n-o nft prints all of it; --without-comments leaves out comments", err)
}

// printDryRun prints what apply would load. Where nobody may look into the kernel
// it is the transaction that replaces everything, whatever is there.
func (p *program) printDryRun(ctx context.Context, c *config.Config, desired *apply.Desired, flags *planFlags) error {
	_, err := p.printPlan(ctx, c, desired, flags)
	var refused *apply.Refusal
	if err == nil || flags.output == "json" || errors.As(err, &refused) || ctx.Err() != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "weft: warning: what the kernel holds is not known, so this replaces everything: %v\n", err)
	_, err = io.WriteString(p.stdout, desired.Transaction())
	return err
}
