package verify

import (
	"encoding/binary"
	"net/netip"

	"weft/render/verify/nfnl"
)

// nat translates. An address or port that is not constant by now, or a range of
// them, cannot be told.
func (w *walker) nat(p *path, e *nfnl.Nat) bool {
	if e.Family != w.family() && e.Family != nfnl.INet {
		return true // nft_nat_inet_eval: nothing happens to other families
	}
	addr, ok := w.natAddress(p, e)
	if !ok {
		return w.unknown(p, e.String()+": not one address")
	}
	if e.Type == nfnl.SNAT {
		return w.sourceNAT(p, sourceNAT{done: true, to: addr}, step{what: "snat to " + addr.String()})
	}
	port, ok := w.natPort(p, e)
	if !ok {
		return w.unknown(p, e.String()+": not one port")
	}
	return w.translate(p, netip.AddrPortFrom(addr, port))
}

func (w *walker) natAddress(p *path, e *nfnl.Nat) (netip.Addr, bool) {
	if e.Flags&(nfnl.NatNetmap|nfnl.NatProtoOffset) != 0 {
		return netip.Addr{}, false
	}
	if e.AddrMin == 0 {
		return w.address(p.domain(w, p.fields[0]))
	}
	n := int(w.vars[varDaddr].width)
	b, ok := w.rangeOfOne(p, e.AddrMin, e.AddrMax, n)
	if !ok {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(b[:n])
}

func (w *walker) natPort(p *path, e *nfnl.Nat) (uint16, bool) {
	if e.ProtoMin == 0 {
		n, ok := p.domain(w, p.fields[1]).single()
		return uint16(n.lo), ok
	}
	b, ok := w.rangeOfOne(p, e.ProtoMin, e.ProtoMax, 2)
	if !ok {
		return 0, false
	}
	return binary.BigEndian.Uint16(b[:]), true
}

// rangeOfOne is the constant of n bytes in a register, which is also the end of
// the range. n is at most 16.
func (w *walker) rangeOfOne(p *path, first, last nfnl.Register, n int) (b [numWidth]byte, ok bool) {
	if _, ok := constants(p.region(w, first.Offset(), n), b[:]); !ok || last == 0 || last == first {
		return b, ok
	}
	var end [numWidth]byte
	_, ok = constants(p.region(w, last.Offset(), n), end[:])
	return b, ok && b == end
}

// address is the only address in a domain.
func (w *walker) address(d domain) (netip.Addr, bool) {
	n, ok := d.single()
	return w.toAddr(n), ok
}

func (w *walker) toAddr(n num) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	if w.v6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// translate rewrites the destination, which ends this base chain. Where the
// packet was sent to is left alone for `ct original`.
func (w *walker) translate(p *path, to netip.AddrPort) bool {
	w.note(p, step{what: "dnat to", to: to})
	p.dnat, p.to, p.priority = true, to, w.bases[p.base].Hook.Priority
	if p.base+1 < len(w.bases) {
		a, b := w.vars[varDaddr], w.vars[varDport]
		a.kind, a.dom = target, only(bigEndian(to.Addr().AsSlice()))
		b.kind, b.dom = target, only(small(uint64(to.Port())))
		p.fields = [2]int32{w.draw(a), w.draw(b)}
	}
	return w.accepted(p)
}

func (w *walker) sourceNAT(p *path, s sourceNAT, at step) bool {
	w.note(p, at)
	p.source, p.priority = s, w.bases[p.base].Hook.Priority
	return w.accepted(p)
}
