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
	e, err := startEarly(ctx, d.Table, nil)
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
	over   over
	// exited ends the wait when nft is at its end, cancel ends all.
	exited, cancel context.CancelFunc
	done           chan struct{}

	rs  *verify.Ruleset
	err error
}

// over waits until the commit that makes a generation is over. The kernel changes the
// generation first and then takes out what the transaction deletes, while a list that is
// read may be short of what stands behind that.
type over func(ctx context.Context, generation uint32) error

// lookout is the time between two looks at the kernel's generation.
const lookout = 2 * time.Millisecond

// polled looks until the kernel has the generation, and a moment longer. It is for who
// deletes nothing.
func (e *early) polled(ctx context.Context, generation uint32) error {
	ticker := time.NewTicker(lookout)
	defer ticker.Stop()
	for there := false; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if there {
			return nil
		}
		latest, err := e.reader.Latest(ctx)
		if there = int32(latest-generation) >= 0; err != nil {
			return err
		}
	}
}

// startEarly opens a reader in the network namespace of the calling thread. Without over it
// polls.
func startEarly(ctx context.Context, table string, over over) (*early, error) {
	reader, err := verify.Open(0)
	if err != nil {
		return nil, err
	}
	before, err := reader.Latest(ctx)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	e := &early{reader: reader, tables: tables(table), over: over, done: make(chan struct{})}
	if over == nil {
		e.over = e.polled
	}
	ctx, e.cancel = context.WithCancel(ctx)
	var waiting context.Context
	waiting, e.exited = context.WithCancel(ctx)
	go e.run(ctx, waiting, before+1)
	return e, nil
}

// earlyReads bounds what is read while others change other tables.
const earlyReads = 3

// run reads when a generation is over, and again if what it read was of a later one. Once
// nft is at its end, all is over.
func (e *early) run(ctx, waiting context.Context, generation uint32) {
	defer close(e.done)
	for range earlyReads {
		if e.over(waiting, generation) != nil {
			<-waiting.Done() // nobody tells when
		}
		ended := waiting.Err() != nil
		if e.rs, e.err = e.reader.Read(ctx, e.tables); e.err != nil || ended || e.rs.Generation == generation {
			return
		}
		generation = e.rs.Generation
	}
	e.rs = nil
}

// finish gives what the kernel holds when nft is at its end.
func (e *early) finish(ctx context.Context) (*verify.Ruleset, error) {
	e.exited()
	<-e.done
	defer e.cancel()
	rs, err := e.rs, e.err
	if err == nil {
		var latest uint32
		if latest, err = e.reader.Latest(ctx); err == nil && (rs == nil || latest != rs.Generation) {
			rs, err = e.reader.Read(ctx, e.tables)
		}
	}
	return rs, errors.Join(err, e.reader.Close())
}
