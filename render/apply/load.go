package apply

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"weft/render/nft"
	"weft/render/ruleset"
	"weft/state/status"
)

// observe sees to it that what others do to the tables is heard, and that there is
// a mirror of them.
func (l *Loop) observe(ctx context.Context) error {
	if l.mirror == nil || l.mirror.table != l.table() {
		m, err := newMirror(l.table(), l.foreign)
		if err != nil {
			return err
		}
		if err := l.mirror.close(); err != nil {
			l.Log.Warn("netlink sockets not closed", "error", err)
		}
		l.mirror = m
	}
	l.listen(ctx)
	return nil
}

// holds says whether the kernel has the desired rules already. At the start they
// may be those that an earlier run loaded, if a proof finds them still at work:
// then only what differs is loaded, so that a restart changes no more than it
// must. The proof alone would not do, since templates that were edited meanwhile
// may ask for more than what it looks at.
func (l *Loop) holds(ctx context.Context, desired *Desired) bool {
	if l.applied == nil && l.good.set == nil {
		l.adopt(ctx)
	}
	return l.applied != nil && len(l.drift) == 0 && desired.same(l.applied)
}

// adopt takes over what an earlier run proved, if it still does what it should.
func (l *Loop) adopt(ctx context.Context) {
	if l.Before == nil || l.Before.Table != l.mirror.table {
		return
	}
	before := l.Before
	l.Before = nil // it is asked once
	if _, err := l.mirror.follow(ctx); err != nil {
		return // whoever loads will say it
	}
	if _, err := l.mirror.prove(before); err != nil {
		return
	}
	l.applied = before
	l.Log.Info("rules of an earlier run proven", "generation", before.State.Generation, "set", before.Set)
}

// confirm proves rules that are in the kernel already for a state that may be
// another.
func (l *Loop) confirm(ctx context.Context, desired *Desired) error {
	start := time.Now()
	if _, err := l.mirror.prove(desired); err != nil {
		return err
	}
	l.Status.Took(status.Verify, time.Since(start))
	l.claim(desired)
	l.endFlows(ctx, desired.State)
	return nil
}

// load brings the kernel to the desired rules, and proves that it does what they
// should. It replaces everything if all is set, and else what differs. Doubtful
// templates are tried before.
func (l *Loop) load(ctx context.Context, c candidate, desired *Desired, all bool) error {
	if l.doubtful(c) {
		err := l.beating(ctx, func() error { return l.rehearsal(ctx, desired) })
		if errors.Is(err, nft.ErrNoScratch) {
			return l.loadUntried(ctx, c, desired, all)
		}
		if err != nil {
			return err
		}
	}
	return l.loadAndProve(ctx, desired, all)
}

func (l *Loop) loadAndProve(ctx context.Context, desired *Desired, all bool) error {
	start := time.Now()
	before := l.applied
	what, err := l.transact(ctx, desired, all)
	if err != nil {
		return err
	}
	l.applied, l.drift = nil, nil // what the kernel holds now is not known until it is proven
	l.Status.Loaded(desired.State.Generation)
	if before != nil && before.Table != desired.Table {
		if err := l.beating(ctx, func() error { return Remove(ctx, l.Runner, before.Table) }); err != nil {
			return err
		}
	}
	loaded := time.Now()
	if err := l.settle(ctx, desired); err != nil {
		return err
	}
	l.Status.Took(status.Verify, time.Since(loaded))
	l.claim(desired)
	l.Log.Info("rules proven", "generation", desired.State.Generation, "set", desired.Set, "loaded", what, "load", loaded.Sub(start), "verify", time.Since(loaded))
	l.endFlows(ctx, desired.State)
	return nil
}

// What a transaction was.
const (
	loadedAll        = "everything"
	loadedDifference = "difference"
)

// transact loads what differs between what the kernel holds and the desired rules.
// Where the first is not known, or the difference is refused, it replaces the
// tables: only what is refused then is the templates' fault.
func (l *Loop) transact(ctx context.Context, desired *Desired, all bool) (what string, err error) {
	tx := l.plan(desired, all)
	start := time.Now()
	if what, err = l.execute(ctx, tx, desired); err == nil {
		l.Status.Took(status.Apply, time.Since(start))
	}
	return what, err
}

// plan is the transaction of what differs; nil if all is to be replaced.
func (l *Loop) plan(desired *Desired, all bool) *ruleset.Transaction {
	start := time.Now()
	defer func() { l.Status.Took(status.Plan, time.Since(start)) }()
	old, ok := l.held(desired.Table)
	if !ok || all {
		return nil
	}
	return ruleset.Diff(old, desired.Ruleset)
}

// execute loads a transaction, or replaces all if it is nil or refused.
func (l *Loop) execute(ctx context.Context, tx *ruleset.Transaction, desired *Desired) (what string, err error) {
	if tx != nil {
		if tx.Empty() {
			return loadedDifference, nil
		}
		err := l.run(ctx, tx)
		var refused *nft.Error
		if !errors.As(err, &refused) || ctx.Err() != nil {
			return loadedDifference, err
		}
		l.Log.Warn("transaction of what differs refused, replacing everything", "error", err)
	}
	return loadedAll, l.replace(ctx, desired)
}

// run runs nft for a transaction.
func (l *Loop) run(ctx context.Context, tx *ruleset.Transaction) error {
	text := tx.Text()
	l.tellTransaction(ctx, loadedDifference, func() string { return text })
	err := l.loading(ctx, len(text), func() error { return loadTransaction(ctx, l.Runner, tx, text) })
	var partial *Partial
	if errors.As(err, &partial) {
		l.applied, l.drift = nil, nil // the next pass reads all, and replaces it
	}
	return err
}

// replace replaces the tables by the desired ones.
func (l *Loop) replace(ctx context.Context, desired *Desired) error {
	start := time.Now()
	l.tellTransaction(ctx, loadedAll, desired.Text)
	err := l.loading(ctx, desired.Len(), func() error { return desired.Load(ctx, l.Runner) })
	if err == nil && l.beaten.Before(start) {
		l.beaten = start // the heartbeat was loaded, too
	}
	return err
}

// loading runs nft with a text of some size, while the heartbeat goes on. Behind a
// large one the rules are read while nft still gives its memory back.
func (l *Loop) loading(ctx context.Context, size int, work func() error) error {
	if size < largeText {
		return l.beating(ctx, work)
	}
	e, err := startEarly(ctx, l.mirror.table, l.foreign.over)
	if err != nil {
		return l.beating(ctx, work) // whoever reads will say it
	}
	if err = l.beating(ctx, work); err != nil {
		e.cancel()
	}
	rs, failed := e.finish(ctx)
	if l.mirror.ahead = nil; err == nil && failed == nil {
		l.mirror.ahead = rs
	}
	return err
}

// toldTransaction bounds what a log line has of a transaction, in bytes: the whole is
// in the history.
const toldTransaction = 4 << 10

// tellTransaction says what nft is about to be given.
func (l *Loop) tellTransaction(ctx context.Context, what string, of func() string) {
	if !l.Log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	text := of()
	l.Log.Debug("loading", "what", what, "bytes", len(text), "transaction", text[:min(len(text), toldTransaction)])
}

// held is what the kernel holds, as far as that is known; of drift it says no more
// than where it is.
func (l *Loop) held(table string) (*ruleset.Ruleset, bool) {
	if l.applied == nil || l.applied.Table != table {
		return nil, false
	}
	list, ok := edits(l.applied.Ruleset, l.drift)
	if !ok {
		return nil, false
	}
	return l.applied.Ruleset.Edited(list), true
}

// catchUp takes in what others did before anything is decided.
func (l *Loop) catchUp(ctx context.Context) error {
	if l.applied == nil || l.applied.Table != l.mirror.table {
		return nil // everything will be replaced, and read
	}
	n, err := l.mirror.follow(ctx)
	if err != nil {
		return err
	}
	if l.drifted(n) != nil {
		l.applied, l.drift = nil, nil
	}
	return nil
}

// settleAttempts is how often others may change the tables while their proof is
// made, before it is left to the next pass.
const settleAttempts = 3

// settle proves the desired rules once they are loaded. What others changed since
// the transaction was planned is put right first, whatever it is: what they did
// before the transaction and after it cannot be told apart.
func (l *Loop) settle(ctx context.Context, desired *Desired) error {
	for range settleAttempts {
		n, err := l.mirror.follow(ctx)
		if err != nil {
			return err
		}
		if len(n.others) == 0 {
			break
		}
		l.tellDrift(told(n.others))
		if err := l.putRight(ctx, desired, n); err != nil {
			return err
		}
	}
	_, err := l.mirror.prove(desired)
	return err
}

// putRight loads again what others touched: everything where that has no name.
func (l *Loop) putRight(ctx context.Context, desired *Desired, n news) error {
	if list, ok := edits(desired.Ruleset, l.mirror.prover.Describe(n.touched)); ok && !n.whole {
		err := l.run(ctx, ruleset.Diff(desired.Ruleset.Edited(list), desired.Ruleset))
		var refused *nft.Error
		if !errors.As(err, &refused) {
			return err
		}
	}
	return l.replace(ctx, desired)
}
