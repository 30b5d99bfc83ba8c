package nfnl

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// ErrMalformed is a datagram that is no netlink messages.
var ErrMalformed = errors.New("netlink message is cut short")

// Message is one netlink message (struct nlmsghdr of linux/netlink.h).
type Message struct {
	Type, Flags    uint16
	Sequence, Port uint32
	Data           []byte // what follows the header
}

// Cut takes the first message off a datagram.
func Cut(datagram []byte) (m Message, rest []byte, err error) {
	if len(datagram) < unix.SizeofNlMsghdr {
		return m, nil, ErrMalformed
	}
	n := int(binary.NativeEndian.Uint32(datagram))
	if n < unix.SizeofNlMsghdr || n > len(datagram) {
		return m, nil, ErrMalformed
	}
	m = Message{
		Type:     binary.NativeEndian.Uint16(datagram[4:]),
		Flags:    binary.NativeEndian.Uint16(datagram[6:]),
		Sequence: binary.NativeEndian.Uint32(datagram[8:]),
		Port:     binary.NativeEndian.Uint32(datagram[12:]),
		Data:     datagram[unix.SizeofNlMsghdr:n],
	}
	return m, datagram[min((n+3)&^3, len(datagram)):], nil
}

// Failure is the error that NLMSG_ERROR or NLMSG_DONE begins with; nil if it is none.
func (m Message) Failure() error {
	if len(m.Data) < 4 {
		return ErrMalformed
	}
	if code := int32(binary.NativeEndian.Uint32(m.Data)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}
