package nft

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"weft/render/verify/nfnl"
)

// datagramSize is more than the kernel puts into one datagram of notifications
// (NLMSG_GOODSIZE, 8 KiB at most) or of answers (32 KiB).
const datagramSize = 64 << 10

// socket is a netlink socket to netfilter. It is bare, not a library's, because
// a watch must look at every message of every table of the machine without
// making anything of it, and because the id of the socket (its port) is how
// weft knows its own transactions.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	port uint32
	buf  []byte
}

// openSocket opens a socket in the network namespace of the calling thread,
// where it stays whoever uses it.
func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	s := &socket{file: os.NewFile(uintptr(fd), "netlink"), buf: make([]byte, datagramSize)}
	if err := s.bind(fd); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), s.Close())
	}
	return s, nil
}

func (s *socket) bind(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	if address, ok := name.(*unix.SockaddrNetlink); ok {
		s.port = address.Pid
	}
	s.raw, err = s.file.SyscallConn()
	return err
}

// subscribe joins a multicast group with a receive queue of the given size in
// bytes; without the right to exceed the machine's limit, of that limit.
func (s *socket) subscribe(group, queue int) error {
	var err error
	control := s.raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queue) != nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, queue)
		}
		err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
	})
	return errors.Join(control, err)
}

// Close closes the socket, which ends a read.
func (s *socket) Close() error { return s.file.Close() }

// receive waits for one datagram, which is good until the next call.
func (s *socket) receive() ([]byte, error) {
	n, err := s.file.Read(s.buf)
	return s.buf[:max(n, 0)], err
}

// drain throws away what waits. The kernel drops everything for a socket that
// overflowed until that has read its queue empty, and says so only once.
func (s *socket) drain() error {
	var err error
	control := s.raw.Read(func(fd uintptr) bool {
		for err == nil || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR) {
			_, err = unix.Read(int(fd), s.buf)
		}
		return true
	})
	if errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	return errors.Join(control, err)
}

// until makes reads end with the context. The function that it returns takes
// that back and must be called; after it, nothing changes the deadline anymore.
func (s *socket) until(ctx context.Context) (stop func()) {
	ended := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = s.file.SetReadDeadline(time.Unix(1, 0))
	})
	return func() {
		if !cancel() {
			<-ended
		}
	}
}

// message is a netlink message of netfilter.
type message struct{ nfnl.Message }

// Sizes of struct nfgenmsg and nlattr (linux/netlink.h, nfnetlink.h).
const (
	familyHeader    = 4
	attributeHeader = 4
)

// cut takes the first message off a datagram.
func cut(datagram []byte) (message, []byte, error) {
	m, rest, err := nfnl.Cut(datagram)
	return message{m}, rest, err
}

func aligned(n int) int { return (n + 3) &^ 3 }

// subsystem is the part of netfilter that a message is of, kind its type there.
func (m message) subsystem() uint16 { return m.Type >> 8 }
func (m message) kind() uint8       { return uint8(m.Type) }

func (m message) family() nfnl.Family {
	if len(m.Data) < familyHeader {
		return nfnl.Unspec
	}
	return nfnl.Family(m.Data[0])
}

// attribute finds the first attribute of a type; nil without one. The kernel
// puts the table's name first, so looking for that costs next to nothing.
func (m message) attribute(typ uint16) []byte {
	if len(m.Data) < familyHeader {
		return nil
	}
	return attribute(m.Data[familyHeader:], typ)
}

func attribute(list []byte, typ uint16) []byte {
	for len(list) > 0 {
		t, data, rest := cutAttribute(list)
		if t == typ && data != nil {
			return data
		}
		list = rest
	}
	return nil
}

// cutAttribute takes the first attribute off a list; its data is nil, and
// nothing is left, if the list is cut short.
func cutAttribute(list []byte) (typ uint16, data, rest []byte) {
	if len(list) < attributeHeader {
		return 0, nil, nil
	}
	n := int(binary.NativeEndian.Uint16(list))
	if n < attributeHeader || n > len(list) {
		return 0, nil, nil
	}
	typ = binary.NativeEndian.Uint16(list[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	return typ, list[attributeHeader:n:n], list[min(aligned(n), len(list)):]
}

// text is a string attribute without the NUL at its end.
func text(b []byte) string { return string(cutText(b)) }

func cutText(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// number is an attribute of up to 8 bytes in network order; 0 if it is longer.
func number(b []byte) (n uint64) {
	if len(b) > 8 {
		return 0
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}
