package apply

import (
	"context"
	"errors"
	"time"

	"weft/render/nft"
	"weft/render/verify"
)

// LoadAndReport is [Desired.LoadDifference] and [Desired.Report]. Where nothing is
// loaded yet, it reads the rules while nft, after the kernel has taken them, still
// gives its memory back: what was read counts only if no transaction came after it.
func (d *Desired) LoadAndReport(ctx context.Context, runner nft.Runner) (*verify.Report, error) {
	found, err := exists(ctx, d.Table)
	if err != nil || found {
		if err := d.LoadDifference(ctx, runner); err != nil {
			return nil, err
		}
		return d.Report(ctx)
	}
	e, err := startEarly(ctx, d.Table)
	if err != nil {
		return nil, err
	}
	if err := d.Load(ctx, runner); err != nil {
		e.cancel()
		_, _ = e.finish(ctx) // there is nothing to read
		return nil, err
	}
	rs, err := e.finish(ctx)
	if err == nil {
		if report := d.check(rs); report.OK() {
			return report, nil
		}
	}
	return d.Report(ctx) // perhaps it was too early
}

// largeText is the size in bytes from which on it is worth to read early: so many rules
// take nft some 10 ms to let go of.
const largeText = 256 << 10

// early is a reader that waits for a transaction.
type early struct {
	reader *verify.Reader
	tables []verify.TableID
	cancel context.CancelFunc
	exited chan struct{} // closed when nft is at its end
	done   chan struct{}

	rs  *verify.Ruleset
	err error
}

// lookout is the time between two looks at the kernel's generation. The commit that
// changes it is over long before the next one.
const lookout = 2 * time.Millisecond

// startEarly opens a reader in the network namespace of the calling thread.
func startEarly(ctx context.Context, table string) (*early, error) {
	reader, err := verify.Open(0)
	if err != nil {
		return nil, err
	}
	before, err := reader.Latest(ctx)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	e := &early{reader: reader, tables: tables(table), exited: make(chan struct{}), done: make(chan struct{})}
	ctx, e.cancel = context.WithCancel(ctx)
	go e.run(ctx, before)
	return e, nil
}

func (e *early) run(ctx context.Context, before uint32) {
	defer close(e.done)
	ticker := time.NewTicker(lookout)
	defer ticker.Stop()
	for moved := false; !moved; {
		select {
		case <-ctx.Done():
			e.err = ctx.Err()
			return
		case <-e.exited:
			moved = true
		case <-ticker.C:
			latest, err := e.reader.Latest(ctx)
			moved = err != nil || latest != before
		}
	}
	select {
	case <-time.After(lookout):
	case <-e.exited:
	}
	e.rs, e.err = e.reader.Read(ctx, e.tables)
}

// finish gives what the kernel holds when nft is at its end.
func (e *early) finish(ctx context.Context) (*verify.Ruleset, error) {
	close(e.exited)
	<-e.done
	defer e.cancel()
	rs, err := e.rs, e.err
	if err == nil {
		var latest uint32
		if latest, err = e.reader.Latest(ctx); err == nil && latest != rs.Generation {
			rs, err = e.reader.Read(ctx, e.tables)
		}
	}
	return rs, errors.Join(err, e.reader.Close())
}
