package apply

import (
	"context"
	"errors"
	"fmt"

	"weft/render/nft"
	"weft/render/ruleset"
)

// A transaction that failed because of its size is tried in pieces of a smaller
// part of it, and then of a smaller part of that, down to leastPiece bytes.
const (
	smaller    = 4
	leastPiece = 4 << 10
)

// Partial is a transaction in pieces of which packets see some and not all: each
// ServicePort has its old rules or its new ones.
type Partial struct{ err error }

func (e *Partial) Error() string {
	return fmt.Sprintf("loaded in part, since it is too large for one transaction: %v", e.err)
}

func (e *Partial) Unwrap() error { return e.err }

// loadTransaction loads a transaction with its text, in one or in as many as its size
// asks for.
func loadTransaction(ctx context.Context, runner nft.Runner, tx *ruleset.Transaction, text string) error {
	room, err := loadWhole(ctx, runner, text)
	if room == 0 {
		return err
	}
	return loadPieces(ctx, runner, tx, room)
}

// loadWhole loads a text as one transaction. Where that is too large it loads nothing, and
// says how many bytes nft should get at a time instead; 0 is done, or failed.
func loadWhole(ctx context.Context, runner nft.Runner, text string) (room int, err error) {
	if room = runner.Room(len(text)); len(text) > room {
		return room, nil
	}
	err = runner.Load(ctx, text)
	if !nft.TooLarge(err) || len(text) <= leastPiece {
		return 0, err
	}
	return max(leastPiece, len(text)/smaller), nil
}

// loadPieces loads a transaction in pieces, and if one is too large, in smaller ones.
func loadPieces(ctx context.Context, runner nft.Runner, tx *ruleset.Transaction, room int) error {
	for {
		err := inPieces(ctx, runner, tx.Cut(room))
		var partial *Partial
		if !nft.TooLarge(err) || errors.As(err, &partial) || room <= leastPiece {
			return err
		}
		room = max(leastPiece, min(room, len(tx.Text()))/smaller)
	}
}

// inPieces loads pieces, one after the other. When one fails before packets see
// any, what was loaded is taken away again.
func inPieces(ctx context.Context, runner nft.Runner, pieces []ruleset.Piece) error {
	visible := false
	for i := range pieces {
		err := runner.Load(ctx, pieces[i].Text())
		switch {
		case err == nil:
			visible = visible || pieces[i].Visible
			continue
		case visible:
			return &Partial{err}
		}
		if undo := ruleset.Undo(pieces[:i]); undo != "" {
			if failed := runner.Load(context.WithoutCancel(ctx), undo); failed != nil {
				return &Partial{errors.Join(err, fmt.Errorf("take back what was loaded: %w", failed))}
			}
		}
		return err
	}
	return nil
}

// loadPieces makes the kernel hold the desired ruleset where that is too large for
// one transaction. What the kernel holds is found out, so that only what differs
// is loaded. Where that cannot be found out or cut, kube-proxy serves meanwhile: the old
// tables go before the new ones come.
func (d *Desired) loadPieces(ctx context.Context, runner nft.Runner, room int) error {
	found, err := exists(ctx, d.Table)
	if err != nil {
		return err
	}
	nothing := &ruleset.Ruleset{}
	if !found {
		return loadPieces(ctx, runner, ruleset.Diff(nothing, d.Ruleset), room)
	}
	now, err := list(ctx, runner, d.Table, PlanOptions{})
	if err == nil {
		tx := ruleset.Diff(now.ruleset, d.Ruleset)
		if err = loadPieces(ctx, runner, tx, room); !nft.TooLarge(err) {
			return err
		}
	}
	if err := runner.Load(ctx, Removal(d.Table)); err != nil {
		return err
	}
	return loadPieces(ctx, runner, ruleset.Diff(nothing, d.Ruleset), room)
}
