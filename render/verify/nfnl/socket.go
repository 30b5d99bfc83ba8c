package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// bufferSize holds the largest datagram of a dump: the kernel fills at most
	// 32 KiB of what the reader offers (netlink_dump in af_netlink.c).
	bufferSize = 64 << 10
	// patience limits the wait for an answer that the kernel gives at once.
	patience = 10 * time.Second
)

// socket is a netlink socket to netfilter for requests. The kernel answers within
// the call that sends one, and writes the next datagram of a dump within the call
// that reads the one before, so that nobody ever waits. It is therefore out of Go's
// poller, which would wake a thread for each answer, with nothing for it to do; and
// each answer is read into the same memory.
type socket struct {
	fd       int
	sequence uint32
	out, in  []byte
}

// openSocket opens a socket in the network namespace with the descriptor netns; 0
// is that of the calling thread.
func openSocket(netns int) (*socket, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	s := &socket{fd: -1, in: make([]byte, bufferSize)}
	if err := errors.Join(s.takeOver(nl), nl.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), s.Close())
	}
	return s, nil
}

// takeOver keeps the socket of a connection, which is then to be closed.
func (s *socket) takeOver(nl *netlink.Conn) error {
	raw, err := nl.SyscallConn()
	if err != nil {
		return err
	}
	control := raw.Control(func(fd uintptr) {
		var own int
		if own, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			s.fd = own
		}
	})
	if err := errors.Join(control, err); err != nil {
		return err
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	return errors.Join(unix.SetNonblock(s.fd, false), unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
}

// Close closes the socket.
func (s *socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	err := os.NewSyscallError("close", unix.Close(s.fd))
	s.fd = -1
	return err
}

// send sends a request of one message.
func (s *socket) send(typ, flags uint16, payload ...[]byte) error {
	s.sequence++
	b := append(s.out[:0], make([]byte, unix.SizeofNlMsghdr)...)
	for _, p := range payload {
		b = append(b, p...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	binary.NativeEndian.PutUint32(b[8:], s.sequence)
	s.out = b
	_, err := again(func() (int, error) { return unix.Write(s.fd, b) })
	return os.NewSyscallError("send", err)
}

// receive reads one datagram, which is good until the next call.
func (s *socket) receive() ([]byte, error) {
	n, err := again(func() (int, error) { return unix.Read(s.fd, s.in) })
	if errors.Is(err, unix.EAGAIN) {
		return nil, fmt.Errorf("receive: no answer from the kernel in %s: %w", patience, os.ErrDeadlineExceeded)
	}
	if err != nil {
		return nil, os.NewSyscallError("receive", err)
	}
	return s.in[:n], nil
}

// again repeats a call that a signal interrupted.
func again(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
