package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// elementList are elements of a set of addresses.
type elementList struct {
	table, set string
	addresses  []netip.Addr
	timeout    time.Duration
	// intervals says that the set holds intervals.
	intervals bool
}

// maxAddresses fit into an attribute of 64 KiB, intervals and IPv6 included.
const maxAddresses = 512

func (l elementList) check() error {
	if len(l.addresses) > maxAddresses {
		return fmt.Errorf("%d addresses, want at most %d", len(l.addresses), maxAddresses)
	}
	if l.timeout < time.Millisecond {
		return fmt.Errorf("timeout %s, want a millisecond or more: an element without one stays", l.timeout)
	}
	return nil
}

// name encodes the attributes that name the set.
func (l elementList) name() []byte {
	b := appendAttribute(nil, unix.NFTA_SET_ELEM_LIST_TABLE, []byte(l.table+"\x00"))
	return appendAttribute(b, unix.NFTA_SET_ELEM_LIST_SET, []byte(l.set+"\x00"))
}

// encode encodes the elements, with their timeout to add them.
func (l elementList) encode(timed bool) []byte {
	var list []byte
	for _, a := range l.addresses {
		a = a.Unmap()
		list = appendNested(list, unix.NFTA_LIST_ELEM, l.element(a, 0, timed))
		if end := a.Next(); l.intervals && end.IsValid() {
			list = appendNested(list, unix.NFTA_LIST_ELEM, l.element(end, unix.NFT_SET_ELEM_INTERVAL_END, false))
		}
	}
	return appendNested(l.name(), unix.NFTA_SET_ELEM_LIST_ELEMENTS, list)
}

func (l elementList) element(a netip.Addr, flags uint32, timed bool) []byte {
	var b []byte
	if flags != 0 {
		b = appendAttribute(b, unix.NFTA_SET_ELEM_FLAGS, binary.BigEndian.AppendUint32(nil, flags))
	}
	b = appendNested(b, unix.NFTA_SET_ELEM_KEY, appendAttribute(nil, unix.NFTA_DATA_VALUE, a.AsSlice()))
	if timed {
		b = appendAttribute(b, unix.NFTA_SET_ELEM_TIMEOUT, binary.BigEndian.AppendUint64(nil, uint64(l.timeout/time.Millisecond)))
	}
	return b
}

func appendNested(b []byte, typ uint16, data []byte) []byte {
	return appendAttribute(b, typ|unix.NLA_F_NESTED, data)
}

func appendAttribute(b []byte, typ uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attributeHeader+len(data)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
