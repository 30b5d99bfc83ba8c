package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"weft/state"
)

// errNoSocket tells nothing about the node that was to be asked.
var errNoSocket = fmt.Errorf("%w: no socket to ask from", ErrNothingToProbe)

// inquiry is a question that waits for its answer.
type inquiry struct {
	sent   time.Time
	node   uint64
	answer chan<- reply
}

type reply struct {
	packet
	took     time.Duration
	received time.Time
}

// Round implements [Prober].
func (p *Peer) Round(ctx context.Context, to Target) (Round, error) {
	var mu sync.Mutex
	var newest reply
	answers, err := repeat(ctx, p.Timeout, to.Usual, func(ctx context.Context, _ int) (time.Duration, error) {
		r, err := p.ask(ctx, to)
		if err != nil {
			return 0, err
		}
		mu.Lock()
		defer mu.Unlock()
		if r.hasUsage && r.received.After(newest.received) {
			newest = r
		}
		return r.took, nil
	})
	if err != nil {
		return Round{}, fmt.Errorf("probe by peer: %w", err)
	}
	round := Round{Value: least(answers), Source: "peer"}
	if newest.hasUsage {
		round.Cores = int(newest.cores)
		round.CPU = &state.CPU{Ratio: newest.ratio, Measured: newest.received.Add(-newest.age), Source: "peer"}
	}
	return round, nil
}

// ask sends a question and waits for its answer.
func (p *Peer) ask(ctx context.Context, to Target) (reply, error) {
	q := packet{kind: question, nonce: nonce(), node: nodeHash(to.Node)}
	answers := make(chan reply, 1)
	if err := p.send(q, to, answers); err != nil {
		return reply{}, err
	}
	defer p.forget(q.nonce)
	select {
	case r := <-answers:
		return r, nil
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

// send holds the lock for the write of a datagram, which does not wait, so that
// the clocks of questions leave in their order.
func (p *Peer) send(q packet, to Target, answers chan<- reply) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return errNoSocket
	}
	now := time.Now()
	p.clock = max(p.clock+1, now.UnixNano())
	q.clock = p.clock
	p.pending[q.nonce] = inquiry{now, q.node, answers}
	_, err := p.conn.WriteToUDPAddrPort(q.marshal(p.key()), netip.AddrPortFrom(to.Address, p.Port))
	if err != nil {
		delete(p.pending, q.nonce)
	}
	return brief(err)
}

func (p *Peer) forget(nonce uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, nonce)
}

// nonce is random, so that nobody who does not see the question can answer it.
func nonce() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return binary.BigEndian.Uint64(b[:])
}
