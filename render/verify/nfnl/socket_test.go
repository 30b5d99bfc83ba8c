package nfnl

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

const newRule = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWRULE

// said is a message as the kernel sends it.
func said(typ, flags uint16, sequence uint32, payload ...byte) []byte {
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(payload)+3)
	binary.NativeEndian.PutUint32(b, uint32(unix.SizeofNlMsghdr+len(payload)))
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return append(append(b, payload...), make([]byte, -len(payload)&3)...)
}

func code(errno unix.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
}

// TestAnswer: what the kernel says to a request, in whatever datagrams.
func TestAnswer(t *testing.T) {
	done := said(unix.NLMSG_DONE, unix.NLM_F_MULTI, 7, code(0)...)
	rule := func(b byte) []byte { return said(newRule, unix.NLM_F_MULTI, 7, b) }
	interrupted := said(newRule, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, 7, 2)
	for _, c := range []struct {
		name      string
		list      bool
		datagrams [][]byte
		want      string // the payloads
		open      bool   // more is to come
		err       error
	}{
		{"an object", false, [][]byte{said(newRule, 0, 7, 1)}, "\x01", false, nil},
		{"no such object", false, [][]byte{said(unix.NLMSG_ERROR, 0, 7, code(unix.ENOENT)...)}, "", false, unix.ENOENT},
		{"an empty list", true, [][]byte{done}, "", false, nil},
		{"a list", true, [][]byte{slices.Concat(rule(1), rule(2)), rule(3), done}, "\x01\x02\x03", false, nil},
		{"its end beside its last", true, [][]byte{slices.Concat(rule(1), done)}, "\x01", false, nil},
		{"a list without an end", true, [][]byte{rule(1)}, "\x01", true, nil},
		{"interrupted", true, [][]byte{slices.Concat(rule(1), interrupted, rule(3)), done}, "\x01\x02\x03", false, ErrInterrupted},
		{"interrupted at its end", true, [][]byte{said(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, 7, code(0)...)}, "", false, ErrInterrupted},
		{"a list that fails at its end", true, [][]byte{rule(1), said(unix.NLMSG_DONE, 0, 7, code(unix.EINTR)...)}, "\x01", false, unix.EINTR},
		{"of a request that was given up", false, [][]byte{said(newRule, 0, 6, 9), said(newRule, 0, 7, 1)}, "\x01", false, nil},
		{"a message cut short", true, [][]byte{rule(1)[:unix.SizeofNlMsghdr-1]}, "", true, ErrMalformed},
		{"longer than its datagram", true, [][]byte{rule(1)[:unix.SizeofNlMsghdr]}, "", true, ErrMalformed},
		{"an error without its code", false, [][]byte{said(unix.NLMSG_ERROR, 0, 7)}, "", false, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []byte
			a := answer{sequence: 7, list: c.list, decode: func(b []byte) error { got = append(got, b...); return nil }}
			var err error
			for _, d := range c.datagrams {
				err = errors.Join(err, a.take(d))
			}
			if err = errors.Join(err, a.result()); !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Errorf("error = %v, want %v", err, c.err)
			}
			if string(got) != c.want || a.complete == c.open {
				t.Errorf("got %q, complete %v; want %q, %v", got, a.complete, c.want, !c.open)
			}
		})
	}
}

// TestAnswerFailure: after what cannot be decoded the list is read to its end, and no more
// of it is decoded.
func TestAnswerFailure(t *testing.T) {
	failures := []error{io.ErrNoProgress, io.ErrShortBuffer}
	a := answer{sequence: 7, list: true, decode: func(b []byte) error { return failures[b[0]-1] }}
	if err := a.take(slices.Concat(said(newRule, 0, 7, 1), said(newRule, 0, 7, 2))); err != nil || a.complete {
		t.Errorf("error = %v, complete %v", err, a.complete)
	}
	if err := a.take(said(unix.NLMSG_DONE, 0, 7, code(0)...)); err != nil || !a.complete || a.result() != io.ErrNoProgress {
		t.Errorf("error = %v, result = %v, complete %v", err, a.result(), a.complete)
	}
}

// TestAhead: each answer comes once and in its order, however many there are.
func TestAhead(t *testing.T) {
	for _, n := range []int{0, 1, 100, 100000} {
		next := 0
		err := ahead(func(b []byte) error {
			if got := int(binary.NativeEndian.Uint32(b)); got != next {
				return io.ErrUnexpectedEOF
			}
			next++
			return nil
		}, func(hand func([]byte) error) error {
			room := make([]byte, 7)
			for i := range n {
				binary.NativeEndian.PutUint32(room, uint32(i))
				if err := hand(room); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || next != n {
			t.Errorf("%d of %d answers: %v", next, n, err)
		}
	}
	failed := ahead(func([]byte) error { return io.ErrNoProgress }, func(hand func([]byte) error) error { return hand(nil) })
	unread := ahead(func([]byte) error { return nil }, func(func([]byte) error) error { return ErrInterrupted })
	if !errors.Is(failed, io.ErrNoProgress) || !errors.Is(unread, ErrInterrupted) {
		t.Errorf("errors = %v, %v", failed, unread)
	}
}
