// Package apply is the way from a state file to the kernel: what the rules
// should be ([Desire]), the transaction that makes them so
// ([Desired.Transaction]), and the loop that keeps them so ([Loop]).
//
// It is level-triggered. A pass looks at the whole state and the whole set and
// asks what the kernel should hold; no step depends on which file changed or on
// what an event said, so a lost event costs time and never correctness.
//
// What cannot be used changes nothing: a state file that is refused leaves the
// last good one in force, and a template set that fails to parse, to render, to
// pass the lint or to load leaves the last set in force that did. Both go on
// rendering what the other still brings.
package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"weft/render"
	"weft/render/nft"
	"weft/render/ruleset"
	"weft/state"
)

// Desired is a ruleset that passed the lint.
type Desired struct {
	*render.Result
	// State and Vars are what it was made of.
	State *state.State
	Vars  render.Vars
	// Table is the name of weft's tables.
	Table string
	// Ruleset is the text taken apart.
	Ruleset *ruleset.Ruleset
}

// same reports whether both are the same rules.
func (d *Desired) same(other *Desired) bool {
	return d.SameText(other.Result) && d.Table == other.Table
}

// Families are those in which weft may hold a table. inet is no family of the
// shipped sets, but a user's set may have it.
func Families() []string { return []string{"ip", "ip6", "inet"} }

// Refusal is a rendered ruleset that must not reach the kernel, because the
// lint or nft refuses it: all findings, each addressed to the template line
// that wrote it.
type Refusal struct {
	// By is what refused: lint or nft.
	By       string
	Findings []*render.Error
	// Desired is what was refused; without a Ruleset if it was the lint.
	Desired *Desired
	err     error
}

func (r *Refusal) Error() string {
	texts := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		texts[i] = f.Error()
	}
	return fmt.Sprintf("refused by %s: %s", r.By, strings.Join(texts, "\n"))
}

func (r *Refusal) Unwrap() error { return r.err }

// Desire renders the state and lints what came out. The error is a
// [*render.Error] for a template that fails and a [*Refusal] for findings.
func Desire(ctx context.Context, set *render.Set, st *state.State, vars render.Vars) (*Desired, error) {
	return NewComposer(set).Desire(ctx, st, vars)
}

func syntaxFindings(err error) []ruleset.Finding {
	var syntax *ruleset.SyntaxError
	if !errors.As(err, &syntax) {
		return []ruleset.Finding{{Line: 1, Message: err.Error()}}
	}
	return []ruleset.Finding{{Line: syntax.Line, Column: syntax.Column, Message: syntax.Message}}
}

func (d *Desired) refusal(by string, findings []ruleset.Finding, err error) *Refusal {
	r := &Refusal{By: by, Desired: d, err: err}
	for _, f := range findings {
		message := f.Message
		if f.Rule != "" {
			message += " (" + f.Rule + ")"
		}
		r.Findings = append(r.Findings, d.At(f.Line, message))
	}
	return r
}

// Transaction is the text that makes the kernel hold exactly the desired
// ruleset: it replaces each table that could be ours. Naming a table before
// deleting it makes the deletion work whether it exists or not, which nft 1.0.6
// has no other way to say.
func (d *Desired) Transaction() string {
	return Removal(d.Table) + d.Text()
}

// Removal is the text that deletes the tables with the name.
func Removal(table string) string {
	var b strings.Builder
	for _, family := range Families() {
		fmt.Fprintf(&b, "table %[1]s %[2]s\ndelete table %[1]s %[2]s\n", family, table)
	}
	return b.String()
}

// Load makes the kernel hold the desired ruleset. What nft refuses comes back
// as a [*Refusal] where nft named a line, so that the user sees the template. A
// ruleset that is too large for one transaction is loaded in several, of which
// packets see as little as of one.
func (d *Desired) Load(ctx context.Context, runner nft.Runner) error {
	room, err := loadWhole(ctx, runner, d.Transaction())
	if room == 0 {
		return d.explain(err)
	}
	return d.loadPieces(ctx, runner, room)
}

// explain finds the template lines that nft's messages are about.
func (d *Desired) explain(err error) error {
	var refused *nft.Error
	if !errors.As(err, &refused) || len(refused.Messages) == 0 {
		return err
	}
	before := strings.Count(Removal(d.Table), "\n")
	var findings []ruleset.Finding
	for _, m := range refused.Messages {
		findings = append(findings, ruleset.Finding{Line: m.Line - before, Column: m.Column, Message: m.Text})
	}
	return d.refusal("nft", findings, err)
}
