package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"weft/render/nft"
	"weft/render/ruleset"
	"weft/render/verify"
)

// Plan is the smallest transaction that makes the kernel hold the desired
// ruleset, whatever it holds now. Both sides are taken as nft lists them, the
// desired one where it was loaded for the purpose: so a rule that nft would list
// in other words than the template wrote is no difference.
type Plan struct {
	Transaction *ruleset.Transaction
	// Fresh says that there are no tables with the name yet.
	Fresh bool

	desired   *Desired
	opts      PlanOptions
	now, then listed
}

// listed is what nft lists of the tables with one name.
type listed struct {
	text    string
	ruleset *ruleset.Ruleset
	objects *ruleset.Objects // nil if nobody asked for JSON
}

// PlanOptions say what a plan is for.
type PlanOptions struct {
	// JSON makes ready for [Plan.JSON].
	JSON bool
	// WithoutComments takes comments of tables, chains, sets and maps for the same
	// whatever they are, and adds none. nft's JSON cannot carry them.
	WithoutComments bool
}

// Plan looks what it takes to make the kernel hold the desired ruleset. It looks
// into the network namespace of the calling thread, while another tries the rules.
func (d *Desired) Plan(ctx context.Context, runner nft.Runner, opts PlanOptions) (*Plan, error) {
	p := &Plan{desired: d, opts: opts}
	g, trying := errgroup.WithContext(ctx)
	g.Go(func() error {
		return nft.InScratch(func() (err error) {
			if err := d.Load(trying, runner); err != nil {
				return err
			}
			p.then, err = list(trying, runner, d.Table, opts)
			return err
		})
	})
	now, err := list(trying, runner, d.Table, opts)
	if tried := g.Wait(); tried != nil {
		err = tried
	}
	if err != nil {
		return nil, err
	}
	p.now, p.Fresh = now, len(now.ruleset.Tables) == 0
	p.Transaction = ruleset.Diff(p.now.ruleset, p.then.ruleset)
	return p, nil
}

func list(ctx context.Context, runner nft.Runner, table string, opts PlanOptions) (listed, error) {
	var l listed
	var text strings.Builder
	var documents []string
	for _, family := range Families() {
		t, err := runner.ListStateless(ctx, family, table)
		if errors.Is(err, nft.ErrNoTable) {
			continue
		}
		if err != nil {
			return l, err
		}
		text.WriteString(t)
		if opts.JSON {
			document, err := runner.ListJSON(ctx, family, table)
			if err != nil {
				return l, err
			}
			documents = append(documents, document)
		}
	}
	rs, err := ruleset.Parse(text.String())
	if err != nil {
		return l, fmt.Errorf("take nft's listing apart: %w", err)
	}
	l.ruleset = rs.WithoutTimes()
	l.text = l.ruleset.String()
	if opts.WithoutComments {
		l.ruleset = l.ruleset.WithoutComments()
	}
	if opts.JSON && !l.ruleset.HasFlags() { // nft 1.0.6 writes no JSON of a table that has
		l.objects, err = ruleset.ParseObjects(documents...)
	}
	return l, err
}

// Empty reports whether the kernel holds the desired ruleset already.
func (p *Plan) Empty() bool { return p.Transaction.Empty() }

// Text is the transaction as nft commands: the rendered text where there is
// nothing yet.
func (p *Plan) Text() string {
	if p.Fresh && !p.Empty() {
		return p.desired.Text()
	}
	return p.Transaction.Text()
}

// load loads what it takes.
func (p *Plan) load(ctx context.Context, runner nft.Runner) error {
	if p.Fresh {
		return p.desired.Load(ctx, runner)
	}
	return loadTransaction(ctx, runner, p.Transaction, p.Transaction.Text())
}

// exists reports whether the kernel holds tables with the name.
func exists(ctx context.Context, table string) (bool, error) {
	reader, err := verify.Open(0)
	if err != nil {
		return false, err
	}
	found, err := reader.Exists(ctx, tables(table))
	return found, errors.Join(err, reader.Close())
}

// LoadDifference makes the kernel hold the desired ruleset by loading what
// differs from what it holds. Where it holds nothing, or that cannot be found out,
// or the difference is refused, it is [Desired.Load].
func (d *Desired) LoadDifference(ctx context.Context, runner nft.Runner) error {
	if found, err := exists(ctx, d.Table); err == nil && !found {
		return d.Load(ctx, runner)
	}
	plan, err := d.Plan(ctx, runner, PlanOptions{})
	if err == nil && plan.Empty() {
		return nil
	}
	if err == nil {
		err = plan.load(ctx, runner)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return d.Load(ctx, runner)
}

// Inexact is a transaction that does not do what it should, when it is tried.
type Inexact struct {
	Form string // "text" or "JSON"
	// Left is what would still have to be done after it, as nft commands.
	Left string
	err  error
}

func (e *Inexact) Error() string {
	if e.err != nil {
		return fmt.Sprintf("the transaction as %s does not load: %v", e.Form, e.err)
	}
	return fmt.Sprintf("the transaction as %s would not make the kernel hold the same as the rules; what it cannot say is:\n%s", e.Form, e.Left)
}

func (e *Inexact) Unwrap() error { return e.err }

// JSON is the transaction as a document of libnftables JSON. nft's JSON is not as
// complete as its text, and says nothing of what it loses: so the document is
// tried where no packet is, and is an error unless it does what the text does. It
// is made in a plan with the option JSON.
func (p *Plan) JSON(ctx context.Context, runner nft.Runner) ([]byte, error) {
	document, err := p.Transaction.JSON(p.now.objects, p.then.objects)
	if err != nil {
		return nil, err
	}
	return document, p.try(ctx, runner, "JSON", func() error { return runner.LoadJSON(ctx, string(document)) })
}

// try loads what the kernel holds now and the transaction into a namespace that
// exists for the moment, and compares.
func (p *Plan) try(ctx context.Context, runner nft.Runner, form string, load func() error) error {
	return nft.InScratch(func() error {
		if err := runner.Load(ctx, p.now.text); err != nil {
			return fmt.Errorf("load what the kernel holds where no packet is: %w", err)
		}
		if err := load(); err != nil {
			return &Inexact{Form: form, err: err}
		}
		got, err := list(ctx, runner, p.desired.Table, PlanOptions{WithoutComments: p.opts.WithoutComments})
		if err != nil {
			return err
		}
		if left := ruleset.Diff(got.ruleset, p.then.ruleset); !left.Empty() {
			return &Inexact{Form: form, Left: left.Text()}
		}
		return nil
	})
}
