package verify

import (
	"encoding/binary"

	"weft/render/verify/nfnl"
)

// Keys of ct (NFT_CT_*).
const (
	ctState, ctDirection, ctStatus, ctMark, ctSecmark = 0, 1, 2, 3, 4
	ctHelper, ctL3proto, ctSrc, ctDst, ctProtocol     = 6, 7, 8, 9, 10
	ctProtoSrc, ctProtoDst, ctLabels                  = 11, 12, 13
	ctPkts, ctBytes, ctAvgpkt, ctZone, ctEvent        = 14, 15, 16, 17, 18
	ctSrcIP, ctDstIP, ctSrcIP6, ctDstIP6, ctID        = 19, 20, 21, 22, 23
)

// Bits of ct state and status (nf_conntrack_common.h), and what dnat sets.
const (
	stateInvalid     = 1 << 0
	stateEstablished = 1 << 1
	stateNew         = 1 << 3
	stateUntracked   = 1 << 6
	statusDNAT       = 1<<5 | statusDNATDone
	statusDNATDone   = 1 << 8
)

// ct loads what conntrack knows about a new connection that nothing confirmed yet.
func (w *walker) ct(p *path, e *nfnl.Ct) bool {
	if e.Set {
		return w.setCt(p, e)
	}
	at := e.Dreg.Offset()
	early := w.bases[p.base].early
	if (p.untracked || early) && e.Key != ctState {
		p.nextRule() // no connection: the rule breaks off
		return true
	}
	if w.known && e.Key != ctState {
		return w.ctFree(p, e, at)
	}
	switch e.Key {
	case ctState:
		p.storeHost(at, w.ctState(p, early))
	case ctDirection:
		p.storeBytes(at, []byte{0})
	case ctStatus:
		p.storeHost(at, w.ctStatus(p))
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

func (w *walker) ctState(p *path, early bool) uint32 {
	switch {
	case p.untracked:
		return stateUntracked
	case early:
		return stateInvalid
	case w.known:
		return stateEstablished
	}
	return stateNew
}

// ctStatus: behind the nat dispatcher the destination is settled, translated or not.
func (w *walker) ctStatus(p *path) uint32 {
	status := w.status
	if p.dnat {
		status |= statusDNAT
	}
	if (w.hook == Prerouting || w.hook == Output) && effective(p.baseChain(w), w.hook) > natDestination {
		status |= statusDNATDone
	}
	return status
}

func (p *path) baseChain(w *walker) *chain { return w.bases[p.base].chain }

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
	case ctDirection, ctL3proto, ctProtocol:
		width = 1
	case ctProtoSrc, ctProtoDst:
		width = 2
	case ctSrc, ctDst, ctSrcIP6, ctDstIP6:
		width = 16
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
	if e.Key > ctID {
		return w.unknown(p, e.String())
	}
	k, name := key{kind: keyCt, a: uint64(e.Key), b: uint64(e.Direction)}, "ct "+nfnl.CtName(e.Key)
	p.storeVariable(w, at, w.variable(k, name, width, free), true)
	if e.Key == ctHelper || e.Key >= ctSrcIP && e.Key <= ctDstIP6 { // few have a helper, and none both families
		return w.mayBreak(p, k, name)
	}
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
