package nfnl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Message types of nf_tables (NFT_MSG_*) that are asked for.
const (
	msgGetTable   = 1
	msgGetChain   = 4
	msgGetRule    = 7
	msgGetSet     = 10
	msgGetSetElem = 13
	msgNewGen     = 15
	msgGetGen     = 16
)

const (
	// bufferSize holds the largest datagram of a dump: the kernel fills at most
	// 32 KiB of what the reader offers (netlink_dump in af_netlink.c).
	bufferSize = 64 << 10
	// receiveBuffer is the socket's queue. Dumps come one datagram at a time, so
	// it matters to a watch alone.
	receiveBuffer = 16 << 20
	// interruptedReads is how often a dump is asked for again.
	interruptedReads = 5
	// patience limits the wait for an answer that the kernel gives at once.
	patience = 10 * time.Second
)

// ErrInterrupted is a dump that other transactions changed under the reader
// each time that it was tried.
var ErrInterrupted = errors.New("dump was interrupted")

// Conn reads nf_tables objects of one network namespace. It is for one
// goroutine at a time, and of no more use after an error of its socket.
type Conn struct {
	nl       *netlink.Conn
	requests int
}

// Dial opens a connection into the network namespace with the descriptor netns;
// 0 is the namespace of the calling thread.
func Dial(netns int) (*Conn, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns, MessageBufferSize: bufferSize})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	_ = nl.SetReadBuffer(receiveBuffer) // a smaller buffer is enough unless much happens at once
	return &Conn{nl: nl}, nil
}

// Requests is how many requests were sent.
func (c *Conn) Requests() int { return c.requests }

// Close closes the connection.
func (c *Conn) Close() error { return c.nl.Close() }

// Table reads one table. A missing one is unix.ENOENT.
func (c *Conn) Table(ctx context.Context, f Family, name string) (Table, error) {
	var t Table
	err := c.dump(ctx, msgGetTable, f, 0, attribute(1, name), func(b []byte) error {
		var err error
		t, err = DecodeTable(b)
		return err
	})
	return t, err
}

// Chains reads the chains of a table.
func (c *Conn) Chains(ctx context.Context, f Family, table string) ([]Chain, error) {
	// The kernel has no filter for chains: it lists those of every table.
	var list []Chain
	err := c.consistent(ctx, true, func() error {
		list = list[:0]
		return c.dump(ctx, msgGetChain, f, netlink.Dump, nil, func(b []byte) error {
			chain, err := DecodeChain(b)
			if err == nil && chain.Table == table && chain.Family == f {
				list = append(list, chain)
			}
			return err
		})
	})
	return list, err
}

// Chain reads one chain. A missing one is unix.ENOENT.
func (c *Conn) Chain(ctx context.Context, f Family, table, name string) (Chain, error) {
	var chain Chain
	err := c.dump(ctx, msgGetChain, f, 0, append(attribute(1, table), attribute(3, name)...), func(b []byte) error {
		var err error
		chain, err = DecodeChain(b)
		return err
	})
	return chain, err
}

// Rules reads the rules of some chains one after the other, or of all chains of the
// table if none is named, in the order in which the kernel walks them.
//
// All at once cost the square of their number: for each datagram of a dump, the kernel
// walks the table's rules again from the first one on (__nf_tables_dump_rules).
func (c *Conn) Rules(ctx context.Context, f Family, table string, chains ...string) ([]*Rule, error) {
	filters := [][]byte{attribute(1, table)}
	if len(chains) > 0 {
		filters = filters[:0]
	}
	for _, name := range chains {
		filters = append(filters, append(attribute(1, table), attribute(2, name)...))
	}
	var list []*Rule
	err := c.consistent(ctx, false, func() error {
		var d RuleDecoder
		list = list[:0]
		decode := func(b []byte) error {
			rule, err := d.Decode(b)
			if err == nil && rule.Table == table {
				list = append(list, rule)
			}
			return err
		}
		return ahead(decode, func(hand func([]byte) error) error { return c.dumps(ctx, msgGetRule, f, filters, hand) })
	})
	return list, err
}

// dumps is one dump after the other. Whether one was interrupted is told behind the
// last one.
func (c *Conn) dumps(ctx context.Context, msg uint16, fam Family, filters [][]byte, f func([]byte) error) error {
	var interrupted error
	for _, filter := range filters {
		switch err := c.dump(ctx, msg, fam, netlink.Dump, filter, f); {
		case errors.Is(err, ErrInterrupted):
			interrupted = err
		case err != nil:
			return err
		}
	}
	return interrupted
}

// Sets reads the sets and maps of a table without their elements.
func (c *Conn) Sets(ctx context.Context, f Family, table string) ([]*Set, error) {
	var list []*Set
	err := c.consistent(ctx, false, func() error {
		list = list[:0]
		return c.dump(ctx, msgGetSet, f, netlink.Dump, attribute(1, table), func(b []byte) error {
			set, err := DecodeSet(b)
			if err == nil && set.Table == table {
				list = append(list, set)
			}
			return err
		})
	})
	return list, err
}

// Set reads one set or map without its elements. A missing one is unix.ENOENT.
func (c *Conn) Set(ctx context.Context, f Family, table, name string) (*Set, error) {
	var set *Set
	err := c.dump(ctx, msgGetSet, f, 0, append(attribute(1, table), attribute(2, name)...), func(b []byte) error {
		var err error
		set, err = DecodeSet(b)
		return err
	})
	return set, err
}

// Elements reads the elements of a set. The kernel leaves expired ones out.
func (c *Conn) Elements(ctx context.Context, f Family, table, set string) ([]Element, error) {
	var list []Element
	filter := append(attribute(1, table), attribute(2, set)...)
	err := c.consistent(ctx, false, func() error {
		list = list[:0]
		return c.dump(ctx, msgGetSetElem, f, netlink.Dump, filter, func(b []byte) error {
			_, _, elements, err := DecodeElements(b)
			if len(list) == 0 {
				list = elements // most sets are told in one message
			} else {
				list = append(list, elements...)
			}
			return err
		})
	})
	return list, err
}

// Generation reads the number of the last transaction in the namespace.
func (c *Conn) Generation(ctx context.Context) (uint32, error) {
	var gen uint32
	err := c.dump(ctx, msgGetGen, Unspec, 0, nil, func(b []byte) error {
		_, a, err := family(b)
		if err != nil {
			return err
		}
		gen = a.generation()
		return a.err
	})
	return gen, err
}

func (a *attrs) generation() (gen uint32) {
	for a.next() {
		if a.typ == 1 {
			gen = a.u32()
		}
	}
	return gen
}

// consistent repeats a dump that the kernel marked as interrupted. A dump that
// the kernel filters by table walks only that table's lists, which transactions
// of others do not change; so whether an interrupted one counts is then decided
// by who committed (see [Watch]), unless it must be strict.
func (c *Conn) consistent(ctx context.Context, strict bool, read func() error) error {
	var err error
	for range interruptedReads {
		if err = read(); !errors.Is(err, ErrInterrupted) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if strict {
		return err
	}
	return nil
}

// dump sends a request and hands each answer's payload to f.
func (c *Conn) dump(ctx context.Context, msg uint16, fam Family, flags netlink.HeaderFlags, filter []byte, f func([]byte) error) error {
	if err := c.deadline(ctx); err != nil {
		return err
	}
	if flags != netlink.Dump {
		flags |= netlink.Acknowledge
	}
	c.requests++
	req, err := c.nl.Send(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | msg), Flags: netlink.Request | flags},
		Data:   append([]byte{byte(fam), unix.NFNETLINK_V0, 0, 0}, filter...),
	})
	if err != nil {
		return err
	}
	return c.answers(ctx, req, f)
}

// together is how many answers are handed on at once, and how many such batches
// may wait.
const together = 64

// ahead decodes what is long to list and to decode: the kernel writes the next
// datagram while the last one is decoded. What is read is handed on.
func ahead(decode func([]byte) error, read func(hand func([]byte) error) error) error {
	batches := make(chan [][]byte, together)
	decoded := make(chan error, 1)
	go func() {
		var err error
		for batch := range batches {
			for i := 0; i < len(batch) && err == nil; i++ {
				err = decode(batch[i])
			}
		}
		decoded <- err
	}()
	batch := make([][]byte, 0, together)
	err := read(func(b []byte) error {
		if batch = append(batch, b); len(batch) == together {
			batches <- batch
			batch = make([][]byte, 0, together)
		}
		return nil
	})
	batches <- batch
	close(batches)
	if failed := <-decoded; failed != nil {
		return failed
	}
	return err
}

// answers reads until the request is answered in full: a dump by its end, any
// other request by its acknowledgement. An interrupted dump is decoded to its
// end all the same: the caller may know that the interruption is none of its
// business.
func (c *Conn) answers(ctx context.Context, req netlink.Message, f func([]byte) error) error {
	a := answer{sequence: req.Header.Sequence, decode: f}
	for {
		for m, err := range c.nl.ReceiveIter() {
			if err != nil {
				return errors.Join(a.err, err)
			}
			a.take(m)
		}
		if a.acknowledged || req.Header.Flags&netlink.Dump == netlink.Dump {
			return a.result()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// answer collects the messages that answer one request.
type answer struct {
	sequence     uint32
	decode       func([]byte) error
	err          error
	interrupted  bool
	acknowledged bool
}

func (a *answer) take(m netlink.Message) {
	switch {
	case m.Header.Sequence != a.sequence:
	case m.Header.Type == netlink.Error:
		a.acknowledged = true
	default:
		a.interrupted = a.interrupted || m.Header.Flags&netlink.DumpInterrupted != 0
		if a.err == nil {
			a.err = a.decode(m.Data)
		}
	}
}

func (a *answer) result() error {
	if a.err == nil && a.interrupted {
		return ErrInterrupted
	}
	return a.err
}

func (c *Conn) deadline(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, ok := ctx.Deadline()
	if limit := time.Now().Add(patience); !ok || t.After(limit) {
		t = limit
	}
	return c.nl.SetReadDeadline(t)
}

// attribute encodes a string attribute.
func attribute(typ uint16, s string) []byte { return encode(typ, append([]byte(s), 0)) }

func nested(typ uint16, content []byte) []byte { return encode(typ|unix.NLA_F_NESTED, content) }

func encode(typ uint16, content []byte) []byte {
	n := attrHeader + len(content)
	b := make([]byte, (n+3)&^3)
	binary.NativeEndian.PutUint16(b, uint16(n))
	binary.NativeEndian.PutUint16(b[2:], typ)
	copy(b[attrHeader:], content)
	return b
}
