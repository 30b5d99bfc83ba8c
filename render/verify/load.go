package verify

import (
	"weft/render/verify/nfnl"
	"weft/state"
)

// Keys of meta (NFT_META_*).
const (
	metaLen, metaProtocol, metaMark   = 0, 1, 3
	metaIif, metaOif                  = 4, 5
	metaIifname, metaOifname          = 6, 7
	metaIiftype, metaOiftype          = 8, 9
	metaNftrace, metaNfproto          = 12, 15
	metaL4proto, metaPkttype          = 16, 19
	metaPriority, metaSecmark         = 2, 14
	metaIifgroup, metaOifgroup        = 21, 22
	metaPrandom, metaSecpath          = 24, 25
	metaIifkind, metaOifkind          = 26, 27
	metaTimeNS, metaTimeDay, metaHour = 30, 31, 32
	metaSdn                           = 34
	metaCPU                           = 20
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
	if e.Key > metaSdn {
		return w.unknown(p, e.String())
	}
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
	k := key{kind: keyMeta, a: uint64(e.Key)}
	p.storeVariable(w, at, w.variable(k, name, width, free), host)
	return alwaysThere(e.Key) || w.mayBreak(p, k, name)
}

// alwaysThere reports whether every packet has what a key of meta loads. Without
// it, the rule breaks off (nft_meta_get_eval): there may be no socket, no route, no
// interface.
func alwaysThere(k uint32) bool {
	switch k {
	case metaLen, metaPriority, metaIif, metaOif, metaIifname, metaOifname, metaPkttype, metaSecmark, metaNftrace,
		metaCPU, metaSecpath, metaTimeNS, metaTimeDay, metaHour:
		return true
	}
	return false
}

// mayBreak goes on with the packets that have what a rule loads, and breaks the
// rule off for the others.
func (w *walker) mayBreak(p *path, k key, name string) bool {
	k.missing = true
	v := w.variable(k, name+" there", 1, free)
	return w.match(p, condition{parts: []part{{v, only(small(1))}}}, false)
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
		return w.inEveryPacket(p, e) || w.mayBreak(p, k, where(e))
	}
	for i := range e.Len {
		if _, ok := w.headerByte(p, e.Base, e.Offset+i); !ok {
			k := key{kind: keyPayload, a: uint64(e.Base), b: uint64(e.Offset + i), c: 1}
			p.regs[at+int(i)] = symbol{variable: w.variable(k, where(e), 1, free), and: 0xff}
		}
	}
	p.store(at+int(e.Len), nil)
	return w.inEveryPacket(p, e) || w.mayBreak(p, key{kind: keyPayload, a: uint64(e.Base), b: uint64(e.Offset), c: uint64(e.Len)}, where(e))
}

// Lengths of headers without options; every transport has ports or as much in its
// first 8 bytes.
const (
	ipHeader, ip6Header, tcpHeader, anyHeader = 20, 40, 20, 8
)

// inEveryPacket reports whether the bytes are in each packet's headers. A rule
// that loads others breaks off for packets that are shorter.
func (w *walker) inEveryPacket(p *path, e *nfnl.Payload) bool {
	length := uint32(0) // there is no link header before a packet is sent
	switch {
	case e.Base == nfnl.NetworkHeader && w.v6:
		length = ip6Header
	case e.Base == nfnl.NetworkHeader:
		length = ipHeader
	case e.Base == nfnl.TransportHeader && p.domain(w, varProto).equal(only(small(uint64(protocolNumbers[state.TCP])))):
		length = tcpHeader
	case e.Base == nfnl.TransportHeader:
		length = anyHeader
	}
	return e.Len <= length && e.Offset <= length-e.Len
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
