package apply

import (
	"context"
	"errors"
	"fmt"

	"weft/render/nft"
	"weft/render/verify"
	"weft/render/verify/nfnl"
)

// mirror is what the kernel holds in the tables with one name: as it was read
// once, and followed since by what the notifications say that transactions
// touched, whosever those were.
//
// It knows the kernel's generation up to which that is true. While the generation
// stays, nothing changed. When it moved, each transaction since was heard of, or
// everything is read anew: nothing is ever proven of rules that somebody changed
// unheard.
type mirror struct {
	table   string
	foreign *listener
	reader  *verify.Reader
	prover  *verify.Prover
	known   uint32 // the generation; meaningless while the prover knows nothing
	// ahead is what was read already, if anything, for who has to read everything.
	ahead *verify.Ruleset
}

// newMirror opens a mirror in the network namespace of the calling thread.
func newMirror(table string, foreign *listener) (*mirror, error) {
	reader, err := verify.Open(0)
	if err != nil {
		return nil, fmt.Errorf("read the rules back: %w", err)
	}
	return &mirror{table: table, foreign: foreign, reader: reader, prover: verify.NewProver(reader, tables(table))}, nil
}

func (m *mirror) close() error {
	if m == nil {
		return nil
	}
	return m.reader.Close()
}

// news is what happened in the tables since they were followed last.
type news struct {
	// others are the transactions of others, and touched is what those touched.
	others  []nft.Event
	touched verify.Touched
	// changes are what is not as it was, by whomever.
	changes []verify.Change
	// whole says that everything was read anew, so that the changes are not known.
	whole bool
	// nameless says that others changed more than can be named.
	nameless bool
}

// nothing reports whether the tables are what they were.
func (n *news) nothing() bool { return !n.whole && len(n.changes) == 0 }

// followAttempts is how often the mirror follows others who change the tables
// while it looks.
const followAttempts = 5

// follow brings the mirror up to date.
func (m *mirror) follow(ctx context.Context) (news, error) {
	var n news
	for range followAttempts {
		latest, err := m.prover.Latest(ctx)
		if err != nil {
			return n, err
		}
		if _, known := m.prover.Generation(); known && latest == m.known {
			return n, nil
		}
		if err := m.catchUp(ctx, latest, &n); err != nil {
			return n, err
		}
		if m.known == latest {
			return n, nil // what happened since then will be heard
		}
	}
	return n, verify.ErrMoving
}

// catchUp brings the mirror up to a generation.
func (m *mirror) catchUp(ctx context.Context, latest uint32, n *news) error {
	if _, known := m.prover.Generation(); !known {
		m.sort(m.foreign.take(), n)
		return m.read(ctx, latest, n)
	}
	events, err := m.foreign.heard(ctx, latest)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	touched, complete := m.sort(events, n)
	switch {
	case !complete || err != nil:
		return m.read(ctx, latest, n)
	case len(touched) == 0:
		m.known = latest
		return nil
	}
	return m.refresh(ctx, latest, touched, n)
}

// sort takes down what happened since what is known, and gives what it touched; it
// is not complete if something was lost.
func (m *mirror) sort(events []nft.Event, n *news) (touched verify.Touched, complete bool) {
	touched, complete = verify.Touched{}, true
	_, known := m.prover.Generation()
	for _, e := range events {
		switch {
		case e.Lost:
			complete = false
			n.others = append(n.others, e)
		case known && int32(e.Generation-m.known) <= 0:
		case e.Own:
			merge(touched, e.Touched)
		default:
			merge(touched, e.Touched)
			n.others = append(n.others, e)
			if n.touched == nil {
				n.touched = verify.Touched{}
			}
			merge(n.touched, e.Touched)
			for _, t := range e.Touched {
				n.nameless = n.nameless || t.Whole
			}
		}
	}
	return touched, complete
}

func merge(into verify.Touched, from map[nfnl.TableID]*nfnl.Touched) {
	for id, t := range from {
		if into[id] == nil {
			into[id] = &nfnl.Touched{}
		}
		into[id].Add(t)
	}
}

// read reads everything, unless what was read ahead is of the latest generation.
func (m *mirror) read(ctx context.Context, latest uint32, n *news) error {
	n.whole = true
	ahead := m.ahead
	m.ahead = nil
	if ahead != nil && ahead.Generation == latest {
		m.prover.Adopt(ahead)
	} else if err := m.prover.Read(ctx); err != nil {
		return fmt.Errorf("read the rules back: %w", err)
	}
	m.known, _ = m.prover.Generation()
	return nil
}

// refresh reads what was touched, or everything if that is less work.
func (m *mirror) refresh(ctx context.Context, latest uint32, touched verify.Touched, n *news) error {
	changes, err := m.prover.Refresh(ctx, touched)
	switch {
	case errors.Is(err, verify.ErrWhole):
		return m.read(ctx, latest, n)
	case err != nil:
		return fmt.Errorf("read the rules back: %w", err)
	}
	n.changes = append(n.changes, changes...)
	m.known, _ = m.prover.Generation()
	return nil
}

// prove checks what the mirror holds: all or nothing, as [Desired.Prove].
func (m *mirror) prove(d *Desired) (proven int, err error) {
	report := m.prover.Check(without(d.State, d.LeftOut), Want(d.Vars))
	switch {
	case report == nil:
		return 0, errors.New("nothing was read back")
	case !report.OK():
		return 0, &Unproven{Report: report}
	}
	return report.Proven, nil
}
