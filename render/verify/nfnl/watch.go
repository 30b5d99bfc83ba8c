package nfnl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// notifications is the multicast group of nf_tables (NFNLGRP_NFTABLES).
const notifications = 7

// receiveBuffer is the socket's queue, in bytes.
const receiveBuffer = 16 << 20

// Watch tells whether transactions touched given tables, from the kernel's
// notifications.
type Watch struct {
	nl *netlink.Conn
}

// DialWatch subscribes to the notifications of a network namespace; see [Dial].
func DialWatch(netns int) (*Watch, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns, MessageBufferSize: bufferSize})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	_ = nl.SetReadBuffer(receiveBuffer)
	if err := nl.JoinGroup(notifications); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to nf_tables: %w", err), nl.Close())
	}
	return &Watch{nl: nl}, nil
}

// Close ends the subscription.
func (w *Watch) Close() error { return w.nl.Close() }

// Touched reports whether any transaction up to the generation named an object
// of a table for which ours answers true. It waits for the notification that
// ends that transaction, since the kernel raises the generation first and tells
// about it afterwards. Lost notifications count as touched.
func (w *Watch) Touched(ctx context.Context, generation uint32, ours func(f Family, table string) bool) (bool, error) {
	limit := time.Now().Add(patience)
	if t, ok := ctx.Deadline(); ok && t.Before(limit) {
		limit = t
	}
	if err := w.nl.SetReadDeadline(limit); err != nil {
		return false, err
	}
	touched := false
	for {
		for m, err := range w.nl.ReceiveIter() {
			if errors.Is(err, unix.ENOBUFS) {
				return true, nil
			}
			if err != nil {
				return false, fmt.Errorf("receive notifications: %w", err)
			}
			gen, mine := notification(m, ours)
			touched = touched || mine
			// Generations wrap around, so "at least" is a signed distance.
			if gen != 0 && int32(gen-generation) >= 0 {
				return touched, nil
			}
		}
	}
}

// notification is the generation that a message announces, or whether it is
// about one of our tables: in every other message attribute 1 is the table.
func notification(m netlink.Message, ours func(Family, string) bool) (gen uint32, mine bool) {
	if int(m.Header.Type)>>8 != unix.NFNL_SUBSYS_NFTABLES {
		return 0, false
	}
	f, a, err := family(m.Data)
	if err != nil {
		return 0, true
	}
	if m.Header.Type&0xff == msgNewGen {
		return a.generation(), false
	}
	for a.next() {
		if a.typ == 1 {
			return 0, ours(f, a.str())
		}
	}
	return 0, true
}
