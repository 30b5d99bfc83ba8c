package nfnl

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

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

// interruptedReads is how often a dump is asked for again.
const interruptedReads = 5

// ErrInterrupted is a dump that other transactions changed under the reader
// each time that it was tried.
var ErrInterrupted = errors.New("dump was interrupted")

// Conn reads nf_tables objects of one network namespace. It is for one
// goroutine at a time, and of no more use after an error of its socket.
type Conn struct {
	socket   *socket
	requests int
	// decoder is for short lists of rules: what they say, others said before.
	decoder RuleDecoder
}

// Dial opens a connection into the network namespace with the descriptor netns;
// 0 is the namespace of the calling thread.
func Dial(netns int) (*Conn, error) {
	s, err := openSocket(netns)
	if err != nil {
		return nil, err
	}
	return &Conn{socket: s}, nil
}

// Requests is how many requests were sent.
func (c *Conn) Requests() int { return c.requests }

// Close closes the connection.
func (c *Conn) Close() error { return c.socket.Close() }

// Table reads one table. A missing one is unix.ENOENT.
func (c *Conn) Table(ctx context.Context, f Family, name string) (Table, error) {
	var t Table
	err := c.get(ctx, msgGetTable, f, attribute(1, name), func(b []byte) error {
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
		return c.dump(ctx, msgGetChain, f, nil, func(b []byte) error {
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
	err := c.get(ctx, msgGetChain, f, append(attribute(1, table), attribute(3, name)...), func(b []byte) error {
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
	if len(chains) == 1 {
		return c.short(ctx, f, table, filters[0])
	}
	var list []*Rule
	err := c.consistent(ctx, false, func() error {
		var d RuleDecoder
		list = list[:0]
		return ahead(d.into(&list, table), func(hand func([]byte) error) error {
			return c.dumps(ctx, msgGetRule, f, filters, hand)
		})
	})
	return list, err
}

// short reads a short list of rules.
func (c *Conn) short(ctx context.Context, f Family, table string, filter []byte) ([]*Rule, error) {
	var list []*Rule
	err := c.consistent(ctx, false, func() error {
		list = list[:0]
		c.decoder.forget(enough)
		return c.dump(ctx, msgGetRule, f, filter, c.decoder.into(&list, table))
	})
	return list, err
}

// enough is how many expressions a Conn knows before it forgets all: those of a few
// chains.
const enough = 1024

// dumps is one dump after the other. Whether one was interrupted is told behind the
// last one.
func (c *Conn) dumps(ctx context.Context, msg uint16, fam Family, filters [][]byte, f func([]byte) error) error {
	var interrupted error
	for _, filter := range filters {
		switch err := c.dump(ctx, msg, fam, filter, f); {
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
		return c.dump(ctx, msgGetSet, f, attribute(1, table), func(b []byte) error {
			set, err := DecodeSet(bytes.Clone(b))
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
	err := c.get(ctx, msgGetSet, f, append(attribute(1, table), attribute(2, name)...), func(b []byte) error {
		var err error
		set, err = DecodeSet(bytes.Clone(b))
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
		return c.dump(ctx, msgGetSetElem, f, filter, func(b []byte) error {
			_, _, elements, err := DecodeElements(bytes.Clone(b))
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
	err := c.get(ctx, msgGetGen, Unspec, nil, func(b []byte) error {
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

// get asks for one object and hands the answer's payload to f, which is good until f
// returns. There is no acknowledgement to be read: the answer is one message, or an error.
func (c *Conn) get(ctx context.Context, msg uint16, fam Family, key []byte, f func([]byte) error) error {
	return c.ask(ctx, msg, fam, 0, key, f)
}

// dump asks for a list and hands each answer's payload to f, which is good until f
// returns.
func (c *Conn) dump(ctx context.Context, msg uint16, fam Family, filter []byte, f func([]byte) error) error {
	return c.ask(ctx, msg, fam, unix.NLM_F_DUMP, filter, f)
}

// ask sends a request and reads its answer to the end, whatever the context: before
// that, the kernel takes no request for another list.
func (c *Conn) ask(ctx context.Context, msg uint16, fam Family, flags uint16, what []byte, f func([]byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.requests++
	head := [...]byte{byte(fam), unix.NFNETLINK_V0, 0, 0}
	if err := c.socket.send(unix.NFNL_SUBSYS_NFTABLES<<8|msg, flags, head[:], what); err != nil {
		return err
	}
	a := answer{sequence: c.socket.sequence, list: flags == unix.NLM_F_DUMP, decode: f}
	for !a.complete {
		datagram, err := c.socket.receive()
		if err != nil {
			return errors.Join(a.err, err)
		}
		if err := a.take(datagram); err != nil {
			return errors.Join(a.err, err)
		}
	}
	return a.result()
}

// answer collects the messages that answer one request. An interrupted list is
// decoded to its end all the same: the caller may know that the interruption is none
// of its business.
type answer struct {
	sequence    uint32
	list        bool // it has an end of its own
	decode      func([]byte) error
	err         error
	interrupted bool
	complete    bool
}

// take reads a datagram. Its error is of the datagram, or the kernel's of the request.
func (a *answer) take(datagram []byte) error {
	for len(datagram) > 0 && !a.complete {
		m, rest, err := Cut(datagram)
		if err != nil {
			return err
		}
		datagram = rest
		if m.Sequence != a.sequence {
			continue // of a request that was given up
		}
		a.interrupted = a.interrupted || m.Flags&unix.NLM_F_DUMP_INTR != 0
		if m.Type == unix.NLMSG_ERROR || m.Type == unix.NLMSG_DONE {
			a.complete = true
			return m.Failure()
		}
		a.complete = !a.list
		if a.err == nil {
			a.err = a.decode(m.Data)
		}
	}
	return nil
}

func (a *answer) result() error {
	if a.err == nil && a.interrupted {
		return ErrInterrupted
	}
	return a.err
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
