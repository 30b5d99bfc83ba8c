package traffic

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"weft/state"
)

// Numbers of uapi/linux/netlink.h, uapi/linux/netfilter/nfnetlink_conntrack.h,
// nf_conntrack_common.h and nf_conntrack_tcp.h.
const (
	messageHeader   = 16 // struct nlmsghdr
	familyHeader    = 4  // struct nfgenmsg
	attributeHeader = 4
	typeMask        = 0x3fff // NLA_TYPE_MASK

	messageNew = 0 // IPCTNL_MSG_CT_NEW
	messageGet = 1 // IPCTNL_MSG_CT_GET

	attrTupleOrig  = 1  // CTA_TUPLE_ORIG
	attrTupleReply = 2  // CTA_TUPLE_REPLY
	attrStatus     = 3  // CTA_STATUS
	attrProtoInfo  = 4  // CTA_PROTOINFO
	attrID         = 12 // CTA_ID

	attrTupleIP    = 1 // CTA_TUPLE_IP
	attrTupleProto = 2 // CTA_TUPLE_PROTO
	attrSource4    = 1 // CTA_IP_V4_SRC
	attrDest4      = 2 // CTA_IP_V4_DST
	attrSource6    = 3 // CTA_IP_V6_SRC
	attrDest6      = 4 // CTA_IP_V6_DST
	attrProtoNum   = 1 // CTA_PROTO_NUM
	attrSourcePort = 2 // CTA_PROTO_SRC_PORT
	attrDestPort   = 3 // CTA_PROTO_DST_PORT
	attrTCP        = 1 // CTA_PROTOINFO_TCP
	attrTCPState   = 1 // CTA_PROTOINFO_TCP_STATE

	statusAssured = 1 << 2 // IPS_ASSURED
	statusDNAT    = 1 << 5 // IPS_DST_NAT

	stateSynSent     = 1 // TCP_CONNTRACK_SYN_SENT
	stateSynRecv     = 2 // TCP_CONNTRACK_SYN_RECV
	stateEstablished = 3 // TCP_CONNTRACK_ESTABLISHED
	stateSynSent2    = 9 // TCP_CONNTRACK_SYN_SENT2
)

// opening is a connection that was opened: its first packet went through.
type opening struct {
	protocol state.Protocol
	// to is where the client sent it, from is who will answer.
	to, from netip.AddrPort
	// entry names it in the kernel's table. It is good as long as the notification.
	entry entry
}

// entry names an entry of the kernel's table: the tuple of the client's packets,
// as an attribute without its header, and the ID beside it, lest it be another
// connection between the same ports.
type entry struct {
	family byte
	tuple  []byte
	id     uint64
}

// readOpening reads a notification. ok is false for those that are not about a
// translated connection of a protocol that has ports, and for those that cannot be
// read.
func readOpening(b []byte) (o opening, ok bool) {
	m, _ := cut(b)
	if m.kind != unix.NFNL_SUBSYS_CTNETLINK<<8|messageNew || len(m.attrs) == 0 {
		return o, false
	}
	orig := find(m.attrs, attrTupleOrig)
	o.protocol = protocolOf(find(find(orig, attrTupleProto), attrProtoNum))
	if number(find(m.attrs, attrStatus))&statusDNAT == 0 || o.protocol == "" {
		return o, false
	}
	o.to = addrPort(orig, attrDest4, attrDest6, attrDestPort)
	o.from = addrPort(find(m.attrs, attrTupleReply), attrSource4, attrSource6, attrSourcePort)
	o.entry = entry{m.family, orig, number(find(m.attrs, attrID))}
	return o, o.to.IsValid() && o.from.IsValid()
}

// protocolOf is the protocol of a tuple; empty if no Service can have it.
func protocolOf(number []byte) state.Protocol {
	if len(number) != 1 {
		return ""
	}
	switch number[0] {
	case unix.IPPROTO_TCP:
		return state.TCP
	case unix.IPPROTO_UDP:
		return state.UDP
	case unix.IPPROTO_SCTP:
		return state.SCTP
	}
	return ""
}

// sight is what the kernel's table holds about a connection at one moment.
type sight struct {
	id uint64
	// open is whether no side has closed it. accepted is whether it was ever
	// established.
	open, accepted bool
}

// readSight reads an entry of the table.
func readSight(attrs []byte) sight {
	s := sight{id: number(find(attrs, attrID))}
	s.accepted = number(find(attrs, attrStatus))&statusAssured != 0
	state := find(find(find(attrs, attrProtoInfo), attrTCP), attrTCPState)
	if len(state) != 1 {
		return s
	}
	switch state[0] {
	case stateSynSent, stateSynRecv, stateSynSent2:
		s.open = true
	case stateEstablished:
		s.open, s.accepted = true, true
	}
	return s
}

// message is one netlink message; errno is that of an error.
type message struct {
	kind     uint16
	sequence uint32
	family   byte
	attrs    []byte
	errno    unix.Errno
}

// cut takes the first message off a datagram. What cannot be read has no
// attributes, and nothing comes after it.
func cut(b []byte) (m message, rest []byte) {
	if len(b) < messageHeader {
		return m, nil
	}
	size := int(binary.NativeEndian.Uint32(b))
	if size < messageHeader || size > len(b) {
		return m, nil
	}
	m.kind, m.sequence = binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
	body := b[messageHeader:size]
	switch {
	case m.kind == unix.NLMSG_ERROR && len(body) >= 4:
		m.errno = unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
	case len(body) >= familyHeader:
		m.family, m.attrs = body[0], body[familyHeader:]
	}
	return m, b[min((size+3)&^3, len(b)):]
}

// addrPort is an address and port of a tuple; invalid if it has none.
func addrPort(tuple []byte, v4, v6, port uint16) netip.AddrPort {
	ip := find(tuple, attrTupleIP)
	addr, ok := netip.AddrFromSlice(find(ip, v4))
	if !ok {
		addr, ok = netip.AddrFromSlice(find(ip, v6))
	}
	p := uint16(number(find(find(tuple, attrTupleProto), port)))
	if !ok || p == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, p)
}

// find is the value of the first attribute with a type among attributes; nil if
// there is none, or what comes before it is cut short.
func find(attrs []byte, typ uint16) []byte {
	for len(attrs) >= attributeHeader {
		size := int(binary.NativeEndian.Uint16(attrs))
		if size < attributeHeader || size > len(attrs) {
			return nil
		}
		if binary.NativeEndian.Uint16(attrs[2:])&typeMask == typ {
			return attrs[attributeHeader:size]
		}
		attrs = attrs[min((size+3)&^3, len(attrs)):]
	}
	return nil
}

// number reads what conntrack writes in network byte order; 0 if it is nothing.
func number(b []byte) uint64 {
	switch len(b) {
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return 0
}
