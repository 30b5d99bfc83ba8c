package verify

import (
	"encoding/binary"

	"weft/render/verify/nfnl"
)

// Keys of meta (NFT_META_*).
const (
	metaLen, metaProtocol, metaMark  = 0, 1, 3
	metaIif, metaOif                 = 4, 5
	metaIifname, metaOifname         = 6, 7
	metaIiftype, metaOiftype         = 8, 9
	metaNftrace, metaNfproto         = 12, 15
	metaL4proto, metaPkttype         = 16, 19
	metaPriority, metaSecmark        = 2, 14
	metaIifgroup, metaOifgroup       = 21, 22
	metaPrandom                      = 24
	metaIifkind, metaOifkind         = 26, 27
	metaTimeNS, metaTimeDay, metaSdn = 30, 31, 34
)

// Keys of ct (NFT_CT_*).
const (
	ctState, ctDirection, ctStatus, ctMark, ctSecmark = 0, 1, 2, 3, 4
	ctHelper, ctL3proto, ctSrc, ctDst, ctProtocol     = 6, 7, 8, 9, 10
	ctProtoSrc, ctProtoDst, ctLabels                  = 11, 12, 13
	ctPkts, ctBytes, ctAvgpkt, ctZone, ctEvent        = 14, 15, 16, 17, 18
	ctSrcIP, ctDstIP, ctSrcIP6, ctDstIP6              = 19, 20, 21, 22
)

// Bits of ct state and status (nf_conntrack_common.h): a new connection, an
// untracked packet, and what dnat sets.
const (
	stateNew       = 1 << 3
	stateUntracked = 1 << 6
	statusDNAT     = 1<<5 | statusDNATDone
	statusDNATDone = 1 << 8
)

func (w *walker) meta(p *path, e *nfnl.Meta) bool {
	if e.Set {
		return w.setMeta(p, e)
	}
	at := e.Dreg.Offset()
	switch e.Key {
	case metaL4proto:
		p.storeVariable(w, at, varProto, false)
	case metaNfproto:
		p.storeBytes(at, []byte{byte(w.family())})
	case metaProtocol:
		p.storeBytes(at, w.etherType())
	case metaMark:
		p.store(at, p.mark[:])
	case metaPrandom:
		v := w.draw(variable{name: "prandom", width: 4, kind: drawn, dom: full(4), modulus: 1 << 32})
		p.storeDrawn(w, at, v)
	default:
		return w.loadFree(p, at, e)
	}
	return true
}

// loadFree loads meta data that the state says nothing about.
func (w *walker) loadFree(p *path, at int, e *nfnl.Meta) bool {
	width, host := uint8(4), true
	switch e.Key {
	case metaIifname, metaOifname, metaIifkind, metaOifkind, metaSdn:
		width, host = 16, false
	case metaPkttype, metaTimeDay:
		width = 1
	case metaIiftype, metaOiftype:
		width = 2
	case metaTimeNS:
		width = 8
	}
	if at+int(width) > len(p.regs) {
		return w.unknown(p, e.String())
	}
	if w.noInterface(e.Key) {
		p.storeBytes(at, make([]byte, width))
		return true
	}
	name := nfnl.MetaName(e.Key)
	p.storeVariable(w, at, w.variable(key{kind: keyMeta, a: uint64(e.Key)}, name, width, free), host)
	return true
}

// noInterface: before routing there is no outgoing interface, and a packet of
// the host's own has no incoming one; both load as zero.
func (w *walker) noInterface(k uint32) bool {
	switch w.hook {
	case Prerouting, Input:
		return k == metaOif || k == metaOifname
	case Output:
		return k == metaIif || k == metaIifname
	}
	return false
}

func (w *walker) setMeta(p *path, e *nfnl.Meta) bool {
	switch e.Key {
	case metaMark:
		copy(p.mark[:], p.region(w, e.Sreg.Offset(), 4))
		return true
	case metaPriority, metaNftrace, metaSecmark:
		return true
	}
	return w.unknown(p, e.String())
}

func (w *walker) family() nfnl.Family {
	if w.v6 {
		return nfnl.IPv6
	}
	return nfnl.IPv4
}

func (w *walker) etherType() []byte {
	if w.v6 {
		return []byte{0x86, 0xdd}
	}
	return []byte{0x08, 0x00}
}

// payload loads from the headers. Bytes of known fields are those of their
// variables; all others are free.
func (w *walker) payload(p *path, e *nfnl.Payload) bool {
	if e.Set {
		return w.unknown(p, e.String())
	}
	if e.Base > nfnl.TransportHeader {
		return w.unknown(p, e.String())
	}
	at := e.Dreg.Offset()
	known := false
	for i := range e.Len {
		if s, ok := w.headerByte(p, e.Base, e.Offset+i); ok {
			p.regs[at+int(i)] = p.resolve(w, s)
			known = true
		}
	}
	if !known && e.Len <= 16 {
		k := key{kind: keyPayload, a: uint64(e.Base), b: uint64(e.Offset), c: uint64(e.Len)}
		p.storeVariable(w, at, w.variable(k, where(e), uint8(e.Len), free), false)
		return true
	}
	for i := range e.Len {
		if _, ok := w.headerByte(p, e.Base, e.Offset+i); !ok {
			k := key{kind: keyPayload, a: uint64(e.Base), b: uint64(e.Offset + i), c: 1}
			p.regs[at+int(i)] = symbol{variable: w.variable(k, where(e), 1, free), and: 0xff}
		}
	}
	p.store(at+int(e.Len), nil)
	return true
}

func where(e *nfnl.Payload) string {
	f := *e
	f.Dreg = 1
	s := f.String()
	return s[len("payload load ") : len(s)-len(" => reg 1")]
}

// headerByte is the variable behind a byte of a header.
func (w *walker) headerByte(p *path, base, at uint32) (symbol, bool) {
	type field struct {
		at, len  uint32
		variable int32
	}
	var fields [3]field
	switch {
	case base == nfnl.TransportHeader:
		fields = [3]field{{0, 2, varSport}, {2, 2, p.fields[1]}}
	case base == nfnl.NetworkHeader && w.v6:
		fields = [3]field{{6, 1, varProto}, {8, 16, varSaddr}, {24, 16, p.fields[0]}}
	case base == nfnl.NetworkHeader:
		fields = [3]field{{9, 1, varProto}, {12, 4, varSaddr}, {16, 4, p.fields[0]}}
	}
	for _, f := range fields {
		if at >= f.at && at < f.at+f.len {
			return symbol{variable: f.variable, index: uint8(at - f.at), and: 0xff}, true
		}
	}
	return symbol{}, false
}

// ct loads what conntrack knows about a new connection that nothing confirmed yet.
func (w *walker) ct(p *path, e *nfnl.Ct) bool {
	if e.Set {
		return w.setCt(p, e)
	}
	at := e.Dreg.Offset()
	if p.untracked && e.Key != ctState {
		p.nextRule() // no connection: the rule breaks off
		return true
	}
	switch e.Key {
	case ctState:
		state := uint32(stateNew)
		if p.untracked {
			state = stateUntracked
		}
		p.storeHost(at, state)
	case ctDirection:
		p.storeBytes(at, []byte{0})
	case ctStatus:
		status := w.status
		if p.dnat {
			status |= statusDNAT
		}
		p.storeHost(at, status)
	case ctMark:
		p.store(at, p.ctMark[:])
	case ctL3proto:
		p.storeBytes(at, []byte{byte(w.family())})
	case ctProtocol:
		p.storeVariable(w, at, varProto, false)
	default:
		return w.ctTuple(p, e, at)
	}
	return true
}

func (p *path) storeHost(at int, v uint32) {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	p.storeBytes(at, b[:])
}

// ctTuple loads addresses and ports. The reply comes from where the packet goes.
func (w *walker) ctTuple(p *path, e *nfnl.Ct, at int) bool {
	var source bool
	switch e.Key {
	case ctSrc, ctSrcIP, ctSrcIP6, ctProtoSrc:
		source = true
	case ctDst, ctDstIP, ctDstIP6, ctProtoDst:
	default:
		return w.ctFree(p, e, at)
	}
	if !e.HasDirection {
		return w.unknown(p, e.String())
	}
	if v6 := e.Key == ctSrcIP6 || e.Key == ctDstIP6; v6 != w.v6 && e.Key >= ctSrcIP {
		p.nextRule() // of another family: the rule breaks off
		return true
	}
	sides := [2][2]int32{{varSaddr, varSport}, w.orig}
	if e.Direction == 1 {
		sides = [2][2]int32{p.fields, {varSaddr, varSport}}
	}
	side := sides[1]
	if source {
		side = sides[0]
	}
	v := side[0]
	if e.Key == ctProtoSrc || e.Key == ctProtoDst {
		v = side[1]
	}
	if at+int(w.vars[v].width) > len(p.regs) {
		return w.unknown(p, e.String())
	}
	p.storeVariable(w, at, v, false)
	return true
}

func (w *walker) ctFree(p *path, e *nfnl.Ct, at int) bool {
	width := uint8(4)
	switch e.Key {
	case ctHelper, ctLabels:
		width = 16
	case ctPkts, ctBytes, ctAvgpkt:
		width = 8
	case ctZone:
		width = 2
	}
	if at+int(width) > len(p.regs) {
		return w.unknown(p, e.String())
	}
	k := key{kind: keyCt, a: uint64(e.Key), b: uint64(e.Direction)}
	p.storeVariable(w, at, w.variable(k, "ct "+nfnl.CtName(e.Key), width, free), true)
	return true
}

func (w *walker) setCt(p *path, e *nfnl.Ct) bool {
	switch e.Key {
	case ctMark:
		copy(p.ctMark[:], p.region(w, e.Sreg.Offset(), 4))
		return true
	case ctLabels, ctEvent, ctSecmark:
		return true
	}
	return w.unknown(p, e.String())
}

// Results and flags of fib (NFT_FIB_RESULT_*, NFTA_FIB_F_*) and RTN_LOCAL.
const (
	fibAddrType           = 3
	fibDaddr, fibIif      = 1 << 1, 1 << 3
	fibOif, fibPresent    = 1 << 4, 1 << 5
	routeLocal            = 2
	fibOifname            = 2
	fibSize, fibNameWidth = 4, 16
)

func (w *walker) fib(p *path, e *nfnl.Fib) bool {
	at := e.Dreg.Offset()
	if e.Result == fibAddrType && e.Flags&fibDaddr != 0 && e.Flags&(fibIif|fibOif) == 0 && w.local && !p.dnat {
		p.storeHost(at, routeLocal)
		return true
	}
	width := uint8(fibSize)
	switch {
	case e.Flags&fibPresent != 0:
		width = 1
	case e.Result == fibOifname:
		width = fibNameWidth
	}
	if at+int(width) > len(p.regs) {
		return w.unknown(p, e.String())
	}
	k := key{kind: keyFib, a: uint64(e.Result), b: uint64(e.Flags)}
	f := *e
	f.Dreg = 1
	p.storeVariable(w, at, w.variable(k, f.String(), width, free), e.Result != fibOifname)
	return true
}
