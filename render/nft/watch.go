package nft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"weft/render/verify/nfnl"
)

const (
	// notifications is the multicast group of nf_tables (NFNLGRP_NFTABLES).
	notifications = 7
	// queueSize holds what a transaction of the largest tables sends at once, in
	// bytes. It is a limit: the kernel takes memory for what waits alone.
	queueSize = 64 << 20
)

// Subscription hears of every transaction that touches the tables with a name,
// in the families ip, ip6 and inet.
//
// It hears of those of all other tables as well, since the kernel has one group
// for all, and drops them after a look at the table's name. The kernel sends
// the changes of a transaction one after the other and then its generation; no
// other transaction comes between.
type Subscription struct {
	socket   *socket
	heard    collector
	progress progress
	closed   atomic.Bool
}

// Subscribe opens a subscription in the network namespace of the calling
// thread. Whatever happens after its return is told by [Subscription.Run], so
// subscribe first and read the ruleset then. own may be nil: then no event is
// weft's own.
func Subscribe(table string, own *Own) (*Subscription, error) {
	return subscribe(table, own, queueSize)
}

func subscribe(table string, own *Own, queue int) (*Subscription, error) {
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	if err := s.subscribe(notifications, queue); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to nf_tables: %w", err), s.Close())
	}
	return &Subscription{socket: s, heard: collector{table: []byte(table), own: own}}, nil
}

// Run calls changed with each event, own ones included, until the context ends
// or the subscription is closed; both are no error. It may be called once. What
// comes while changed runs waits in the kernel, up to 64 MiB; beyond that an
// event says that something was lost, and the subscription goes on. That calls
// for a proof, not for a load, which could be what overflowed it.
func (s *Subscription) Run(ctx context.Context, changed func(Event)) error {
	defer s.progress.end()
	defer s.socket.until(ctx)()
	for {
		datagram, err := s.socket.receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			err = s.lost(changed)
		case err == nil && s.take(datagram, changed) != nil:
			err = s.lost(changed)
		}
		if ctx.Err() != nil || s.closed.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive notifications of nf_tables: %w", err)
		}
	}
}

// take tells what a datagram holds, and then how far that is.
func (s *Subscription) take(datagram []byte, changed func(Event)) error {
	before := s.heard.generation
	err := s.heard.take(datagram, changed)
	if s.heard.generation != before {
		s.progress.reached(s.heard.generation)
	}
	return err
}

// Heard waits until [Subscription.Run] has told what every transaction up to the
// generation changed. It is [ErrLost] if notifications are lost meanwhile or
// nobody runs the subscription any more. A generation before the first that the
// subscription heard of is waited for in vain.
//
// A transaction's notifications are sent before its sender gets an answer, so
// what is waited for is on its way.
func (s *Subscription) Heard(ctx context.Context, generation uint32) error {
	return s.progress.until(ctx, generation)
}

// lost starts over with an empty queue, so that all that is not heard of was
// before the event that says so.
func (s *Subscription) lost(changed func(Event)) error {
	if err := s.socket.drain(); err != nil {
		return err
	}
	s.heard.clear()
	changed(Event{Lost: true})
	s.progress.lost()
	return nil
}

// Close ends the subscription.
func (s *Subscription) Close() error {
	s.closed.Store(true)
	return s.socket.Close()
}

// collector makes events out of notifications.
type collector struct {
	table []byte
	own   *Own
	// tables and rest are the changes of the transaction that is being told. The
	// kernel tells of a table that is deleted last, after all that was in it.
	tables, rest []Change
	more         int
	touched      map[nfnl.TableID]*nfnl.Touched
	// mine says that weft sent the transaction, and beat that it is a heartbeat.
	mine, beat bool
	// generation is that of the last transaction of the machine, whosever.
	generation uint32
	// anonymous are the sets of rules that the transaction made.
	anonymous map[string]bool
}

func (c *collector) clear() {
	c.tables, c.rest, c.more, c.touched, c.anonymous = nil, nil, 0, nil, nil
}

func (c *collector) nothing() bool { return len(c.tables)+len(c.rest)+c.more == 0 }

// take reads a datagram. An error means that what was in it is not known.
func (c *collector) take(datagram []byte, changed func(Event)) error {
	for len(datagram) > 0 {
		m, rest, err := cut(datagram)
		if err != nil {
			return err
		}
		datagram = rest
		switch {
		case m.subsystem() != unix.NFNL_SUBSYS_NFTABLES:
		case m.kind() == unix.NFT_MSG_NEWGEN:
			c.committed(m, changed)
		case c.ours(m):
			c.note(m, changed)
		}
	}
	return nil
}

var families = []nfnl.Family{nfnl.IPv4, nfnl.IPv6, nfnl.INet}

// ours looks at nothing but the table's name, which all messages have as their
// attribute 1.
func (c *collector) ours(m message) bool {
	name := m.attribute(attrTable)
	n := len(c.table)
	return len(name) >= n && string(name[:n]) == string(c.table) && (len(name) == n || name[n] == 0) &&
		slices.Contains(families, m.family())
}

// note keeps a change until its transaction is over. One that no socket sent is
// the kernel's own doing and of no transaction.
func (c *collector) note(m message, changed func(Event)) {
	kind := meanings[m.kind()].kind
	if m.Port == 0 {
		changed(Event{Expired: kind == Element, Changes: changes(m, maxChanges)})
		return
	}
	if c.nothing() {
		c.mine, c.beat = c.own.wrote(m.Port)
	}
	c.more += count(m)
	if !c.mine {
		c.tell(m, kind)
	}
	c.touch(m, kind)
}

// tell adds a notification to the changes that are told one by one.
func (c *collector) tell(m message, kind Kind) {
	kept := &c.rest
	if kind == Table {
		kept = &c.tables
	}
	list := changes(m, maxChanges-len(*kept))
	*kept = append(*kept, list...)
	c.more -= len(list)
}

// touch notes what a notification is about.
func (c *collector) touch(m message, kind Kind) {
	id := nfnl.TableID{Family: m.family(), Name: string(c.table)}
	t := c.touched[id]
	if t == nil {
		if c.touched == nil {
			c.touched = map[nfnl.TableID]*nfnl.Touched{}
		}
		t = &nfnl.Touched{}
		c.touched[id] = t
	}
	name := cutText(m.attribute(meanings[m.kind()].name))
	switch kind {
	case Rule, Chain:
		t.Chain(name)
	case Set:
		if uint32(number(m.attribute(unix.NFTA_SET_FLAGS)))&nfnl.SetAnonymous == 0 {
			t.Set(name)
			return
		}
		if c.anonymous == nil {
			c.anonymous = map[string]bool{}
		}
		c.anonymous[string(name)] = true
	case Element:
		if !t.Whole && !c.anonymous[string(name)] {
			touchElements(t, name, m)
		}
	default:
		t.Everything()
	}
}

func touchElements(t *nfnl.Touched, set []byte, m message) {
	_, _, list, err := nfnl.DecodeElements(m.Data)
	if err != nil || len(list) == 0 {
		t.Element(set, nil)
		return
	}
	for _, e := range list {
		t.Element(set, e.Key)
	}
}

// committed is the end of a transaction, ours or not.
func (c *collector) committed(m message, changed func(Event)) {
	c.generation = uint32(number(m.attribute(unix.NFTA_GEN_ID)))
	if c.nothing() {
		return
	}
	e := Event{
		Generation: c.generation,
		Process: Process{
			ID:   uint32(number(m.attribute(unix.NFTA_GEN_PROC_PID))),
			Name: text(m.attribute(unix.NFTA_GEN_PROC_NAME)),
			Port: m.Port,
		},
		Changes: append(c.tables, c.rest...),
		More:    c.more,
		Touched: c.touched,
		Own:     c.mine,
		Beat:    c.beat,
	}
	c.clear()
	changed(e)
}
