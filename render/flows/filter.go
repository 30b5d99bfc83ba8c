package flows

import (
	"encoding/binary"

	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

// Attributes of a request for a dump, from uapi/linux/netfilter/nfnetlink_conntrack.h.
const (
	ctaTupleOrig     = 1  // CTA_TUPLE_ORIG
	ctaTupleProto    = 2  // CTA_TUPLE_PROTO in it
	ctaProtoNum      = 1  // CTA_PROTO_NUM in that
	ctaProtoDstPort  = 3  // CTA_PROTO_DST_PORT beside it
	ctaFilter        = 25 // CTA_FILTER
	ctaFilterOrig    = 1  // CTA_FILTER_ORIG_FLAGS in it
	filterProtoNum   = 1 << 3
	filterProtoDport = 1 << 5
)

// filter asks the kernel to list UDP alone, and only the flows to the NodePort
// if there is just one, as when one endpoint leaves one ServicePort. Most
// entries of a node's table are TCP, and the listing costs by the entry. The
// bits say which fields of the tuple count (CTA_FILTER_F_* in nf_internals.h);
// Linux knows of this since 5.8, and older ones ignore it.
func filter(wanted map[entry]bool) []netfilter.Attribute {
	flags := uint32(filterProtoNum)
	proto := []netfilter.Attribute{{Type: ctaProtoNum, Data: []byte{unix.IPPROTO_UDP}}}
	if port, ok := onlyPort(wanted); ok {
		flags |= filterProtoDport
		proto = append(proto, netfilter.Attribute{Type: ctaProtoDstPort, Data: netfilter.Uint16Bytes(port)})
	}
	return []netfilter.Attribute{
		{Type: ctaTupleOrig, Nested: true, Children: []netfilter.Attribute{{Type: ctaTupleProto, Nested: true, Children: proto}}},
		{Type: ctaFilter, Nested: true, Children: []netfilter.Attribute{
			{Type: ctaFilterOrig, Data: binary.NativeEndian.AppendUint32(nil, flags)},
		}},
	}
}

// onlyPort is the NodePort of all entries, if they have one in common.
func onlyPort(wanted map[entry]bool) (uint16, bool) {
	var port uint16
	first := true
	for e := range wanted {
		if !first && e.to.Port() != port {
			return 0, false
		}
		port, first = e.to.Port(), false
	}
	return port, !first
}
