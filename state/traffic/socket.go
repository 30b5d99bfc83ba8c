package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// groupNew is the multicast group of new connections (NFNLGRP_CONNTRACK_NEW).
	groupNew = 1
	// queueSize is how much may wait for us in the kernel, in bytes: about a second
	// at 10,000 connections a second. What does not wait takes no memory.
	queueSize = 8 << 20
	// datagramSize is more than a notification or an answer has.
	datagramSize = 16 << 10
)

// socket is a netlink socket to netfilter. It is bare, since a library makes a dozen
// values of each of 10,000 notifications a second, and a system call for each
// question.
type socket struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
}

// openSocket opens a socket in the network namespace of the calling thread.
func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	s := &socket{file: os.NewFile(uintptr(fd), "netlink"), buf: make([]byte, datagramSize)}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err == nil {
		s.raw, err = s.file.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), s.file.Close())
	}
	return s, nil
}

func (s *socket) close() error { return s.file.Close() }

// control calls f with the file descriptor.
func (s *socket) control(f func(fd int) error) error {
	var err error
	control := s.raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(control, err)
}

// listen makes the socket hear of new connections.
func (s *socket) listen() error {
	return s.control(func(fd int) error {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueSize) != nil {
			// Without the right to more than the machine's limit, that is it.
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueSize); err != nil {
				return fmt.Errorf("set the size of the queue: %w", err)
			}
		}
		err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, groupNew)
		switch {
		case errors.Is(err, unix.EPERM):
			return fmt.Errorf("hear of connections: %w (it takes CAP_NET_ADMIN)", err)
		case err != nil:
			return fmt.Errorf("hear of connections: %w", err)
		}
		return nil
	})
}

// limit leaves to the kernel what [filter] can.
func (s *socket) limit(lowest, highest uint16) error {
	var code []unix.SockFilter
	for _, c := range filter(lowest, highest) {
		code = append(code, unix.SockFilter{Code: c.Op, Jt: c.Jt, Jf: c.Jf, K: c.K})
	}
	if len(code) == 0 {
		return errors.New("filter notifications: it cannot be assembled")
	}
	return s.control(func(fd int) error {
		program := &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program); err != nil {
			return fmt.Errorf("filter notifications: %w", err)
		}
		return nil
	})
}

// receive waits for datagrams and hands over all that there are, one by one; each
// is good for the call alone.
func (s *socket) receive(take func([]byte)) error {
	var err error
	wait := s.raw.Read(func(fd uintptr) bool {
		var n int
		n, err = s.drain(int(fd), take)
		return n > 0 || err != nil
	})
	return errors.Join(wait, err)
}

// drain hands over what there is.
func (s *socket) drain(fd int, take func([]byte)) (n int, err error) {
	for {
		size, err := unix.Read(fd, s.buf)
		switch {
		case err == nil:
			n++
			take(s.buf[:size])
		case errors.Is(err, unix.EAGAIN):
			return n, nil
		case !errors.Is(err, unix.EINTR):
			return n, err
		}
	}
}

// ask sends questions, which are answered before it returns: the kernel works on
// them in the call. Every datagram that it answers with is handed to take.
func (s *socket) ask(questions []byte, take func([]byte)) error {
	return s.control(func(fd int) error {
		if err := unix.Sendto(fd, questions, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return fmt.Errorf("ask for connections: %w", err)
		}
		_, err := s.drain(fd, take)
		return err
	})
}

// appendQuestion adds the question for one entry of the table. Its answers have the
// same number.
func appendQuestion(b []byte, e *entry, number uint32) []byte {
	size := messageHeader + familyHeader + attributeHeader + len(e.tuple)
	b = binary.NativeEndian.AppendUint32(b, uint32(size))
	b = binary.NativeEndian.AppendUint16(b, unix.NFNL_SUBSYS_CTNETLINK<<8|messageGet)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, number)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, e.family, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, uint16(attributeHeader+len(e.tuple)))
	b = binary.NativeEndian.AppendUint16(b, attrTupleOrig|unix.NLA_F_NESTED)
	b = append(b, e.tuple...)
	return append(b, make([]byte, -size&3)...)
}

// until makes receive end with the context. The function that it returns must be
// called.
func (s *socket) until(ctx context.Context) (stop func()) {
	ended := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = s.file.SetReadDeadline(time.Unix(1, 0)) // fails only where it is closed already
	})
	return func() {
		if !cancel() {
			<-ended
		}
	}
}

// eventsSwitch is there when conntrack is loaded and can tell of connections.
const eventsSwitch = "/proc/sys/net/netfilter/nf_conntrack_events"

// checkSwitch says why the kernel tells nothing about connections in the network
// namespace of the calling thread; nil if it does.
func checkSwitch() error {
	text, err := os.ReadFile(eventsSwitch)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("the kernel tracks no connections here, or does not tell of them (no " + eventsSwitch + ")")
	case err != nil:
		return err
	case strings.TrimSpace(string(text)) == "0":
		return errors.New("the kernel is told not to tell of connections (sysctl net.netfilter.nf_conntrack_events is 0)")
	}
	return nil
}
