package probe

import (
	"net"
	"net/netip"
	"time"
)

// The clock of a question may differ so much from the answerer's.
const clockSkew = 5 * time.Minute

// take reads a packet. Nothing is said about those that are not weft's.
func (p *Peer) take(conn *net.UDPConn, b []byte, from netip.AddrPort, received time.Time) {
	if !isPacket(b) {
		p.count("no packet of this version")
		return
	}
	got := unmarshal(b)
	switch {
	case got.kind == question:
		if p.accept(got, isSigned(b, p.Keys), from.Addr(), received) {
			out := p.answer(got, received)
			_, _ = conn.WriteToUDPAddrPort(out.marshal(p.key()), from) // lost like any packet
		}
	case !isSigned(b, p.Keys):
		p.refuse(from.Addr(), p.unsigned())
	case got.kind == answer:
		p.deliver(got, received)
	}
}

func (p *Peer) unsigned() string {
	if len(p.Keys) == 0 {
		return "it is signed with a key, and we have none"
	}
	return "it is not signed with a key of ours"
}

func (p *Peer) key() []byte {
	if len(p.Keys) == 0 {
		return nil
	}
	return p.Keys[0]
}

// accept reports whether a question may be answered.
func (p *Peer) accept(q packet, signed bool, from netip.Addr, now time.Time) bool {
	p.mu.Lock()
	a, self := p.known[from], p.self.Name
	fresh := true
	if a != nil && signed && len(p.Keys) > 0 {
		fresh = q.clock > a.clock && now.Sub(time.Unix(0, q.clock)).Abs() <= clockSkew
		if fresh && q.node == nodeHash(self) {
			a.clock = q.clock
		}
	}
	p.mu.Unlock()
	switch {
	case a == nil:
		p.count("from no node")
	case !signed:
		p.refuse(from, p.unsigned())
	case q.node != nodeHash(self):
		p.refuse(from, "it asks for another node at our address")
	case !fresh:
		p.refuse(from, "its question is old: a replay, or its clock and ours differ by more than "+clockSkew.String())
	default:
		return true
	}
	return false
}

// refuse counts a packet that is not answered, and logs it once for each node and
// reason.
func (p *Peer) refuse(from netip.Addr, reason string) {
	p.count(reason)
	p.mu.Lock()
	a := p.known[from]
	say := a != nil && !a.told[reason]
	if say {
		a.told[reason] = true
	}
	p.mu.Unlock()
	if say {
		p.Log.Warn("packet of another agent refused", "node", a.node, "address", from, "reason", reason)
	}
}

func (p *Peer) count(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused[reason]++
}

// answer tells how busy the node is, if that is known, and how long the question that
// arrived at now was held.
func (p *Peer) answer(q packet, now time.Time) packet {
	a := packet{kind: answer, nonce: q.nonce, node: q.node}
	if p.Usage != nil {
		if cpu, cores := p.Usage(); cpu != nil {
			a.hasUsage, a.ratio, a.cores, a.age = true, cpu.Ratio, uint32(cores), max(0, now.Sub(cpu.Measured))
		}
	}
	a.held = min(time.Since(now), maxHeld)
	return a
}

// deliver hands an answer to who waits for it, once.
func (p *Peer) deliver(a packet, received time.Time) {
	p.mu.Lock()
	q, ok := p.pending[a.nonce]
	delete(p.pending, a.nonce)
	p.mu.Unlock()
	if ok && q.node == a.node {
		q.answer <- reply{a, underWay(received.Sub(q.sent), a.held), received} // has room for one
	}
}

// underWay is the time that question and answer took, without that for which the
// question was held. An agent that says more than can be true is not believed.
func underWay(took, held time.Duration) time.Duration {
	if held < took {
		took -= held
	}
	return max(took, 1)
}
