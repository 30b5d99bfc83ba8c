package nft

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"weft/render/verify/nfnl"
)

// Heart renews the elements of the set of the node's addresses through netlink.
// The nft program reads every interval set of the machine before it does that:
// a third of a second where thousands of rules hold inline maps.
//
// It is for one goroutine at a time.
type Heart struct {
	socket   *socket
	own      *Own
	sequence uint32
	batch    []byte
}

// patience is how long the kernel may take to answer. It answers at once, but
// for a transaction of somebody else that it works on.
const patience = 10 * time.Second

// OpenHeart opens a heart in the network namespace of the calling thread. own
// learns that its transactions are weft's; it may be nil.
func OpenHeart(own *Own) (*Heart, error) {
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	own.open(s.port)
	return &Heart{socket: s, own: own}, nil
}

// Close closes the heart. Elements end with their time.
func (h *Heart) Close() error {
	h.own.closed(h.socket.port)
	return h.socket.Close()
}

// Beat makes the addresses elements of the set for the timeout from now, in one
// transaction: nobody sees them absent. All must be of the set's family, 512
// at most. The timeout is cut to milliseconds, of which it has one at least. A table or set that is gone is
// [unix.ENOENT]; what else the kernel refuses is its error number too.
//
// Adding an element that is there does not renew it, and deleting one that has
// expired is an error, so they are added, deleted and added again, which works
// on every kernel. The kernel is asked first whether the set holds intervals,
// because an address there is a pair of elements, and one of them alone would be
// every address from there on.
//
// The kernel works on one transaction at a time, so a beat waits for those of
// others, and the context does not end that wait.
func (h *Heart) Beat(ctx context.Context, family nfnl.Family, table, set string, addresses []netip.Addr, timeout time.Duration) error {
	if len(addresses) == 0 {
		return nil
	}
	list := elementList{table: table, set: set, addresses: addresses, timeout: timeout}
	err := list.check()
	if err == nil {
		err = h.beat(ctx, family, list)
	}
	if err != nil {
		return fmt.Errorf("renew the elements of set %s %s %s: %w", family, table, set, err)
	}
	return nil
}

func (h *Heart) beat(ctx context.Context, family nfnl.Family, list elementList) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := h.socket.file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	defer h.socket.until(ctx)()
	kind, err := h.set(family, list)
	if err != nil {
		return contextual(ctx, err)
	}
	list.intervals = kind.Flags&nfnl.SetInterval != 0
	return contextual(ctx, h.renew(family, list))
}

// contextual prefers the context's error to that of a read that it ended.
func contextual(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// set reads what the set is.
func (h *Heart) set(family nfnl.Family, list elementList) (*nfnl.Set, error) {
	h.batch = h.batch[:0]
	h.message(nftables(unix.NFT_MSG_GETSET), unix.NLM_F_ACK, family, 0, list.name())
	var set *nfnl.Set
	err := h.exchange(func(m message) error {
		var err error
		set, err = nfnl.DecodeSet(m.Data)
		return err
	})
	if err == nil && set == nil {
		err = nfnl.ErrMalformed
	}
	return set, err
}

// renew sends the three steps as one transaction.
func (h *Heart) renew(family nfnl.Family, list elementList) error {
	add, remove := list.encode(true), list.encode(false)
	h.batch = h.batch[:0]
	h.message(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	h.message(nftables(unix.NFT_MSG_NEWSETELEM), unix.NLM_F_CREATE, family, 0, add)
	h.message(nftables(unix.NFT_MSG_DELSETELEM), 0, family, 0, remove)
	last := h.message(nftables(unix.NFT_MSG_NEWSETELEM), unix.NLM_F_CREATE|unix.NLM_F_ACK, family, 0, add)
	h.message(unix.NFNL_MSG_BATCH_END, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil)
	return h.exchangeUntil(last, nil)
}

func nftables(kind uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }

// message appends a message to the batch, and returns its sequence number.
func (h *Heart) message(typ, flags uint16, family nfnl.Family, resource uint16, attributes []byte) uint32 {
	h.sequence++
	b := h.batch
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+familyHeader+len(attributes)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, h.sequence)
	b = binary.NativeEndian.AppendUint32(b, h.socket.port)
	b = append(b, byte(family), unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, resource)
	h.batch = append(b, attributes...)
	return h.sequence
}

// exchange sends a single request and waits for its answer.
func (h *Heart) exchange(answer func(message) error) error {
	return h.exchangeUntil(h.sequence, answer)
}

// exchangeUntil sends the batch and reads answers until the message with the
// last sequence number is acknowledged, or one of the batch is refused. The
// kernel sends a refusal before the acknowledgement; what is left of an
// exchange that ended early has older numbers and is skipped.
func (h *Heart) exchangeUntil(last uint32, answer func(message) error) error {
	first := binary.NativeEndian.Uint32(h.batch[8:])
	if _, err := h.socket.file.Write(h.batch); err != nil {
		return err
	}
	for {
		datagram, err := h.socket.receive()
		if err != nil {
			return err
		}
		done, err := h.read(datagram, first, last, answer)
		if done || err != nil {
			return err
		}
	}
}

func (h *Heart) read(datagram []byte, first, last uint32, answer func(message) error) (done bool, err error) {
	for len(datagram) > 0 {
		m, rest, err := cut(datagram)
		if err != nil {
			return false, err
		}
		datagram = rest
		switch {
		case m.Sequence-first > h.sequence-first: // of an earlier exchange
		case m.Type == unix.NLMSG_ERROR:
			if err := m.Failure(); err != nil || m.Sequence == last {
				return true, err
			}
		case answer != nil:
			if err := answer(m); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}
