package probe

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"weft/state"
)

// DefaultPort is where agents answer each other: WEFT on a telephone's keys.
const DefaultPort = 9338

// Peer asks the agents of other nodes, and answers them: with the time it takes,
// the asker learns how busy the node is.
//
// It has one socket of UDP, bound to the own node's address, for questions and
// answers alike, so that packets come and go between the addresses of nodes
// alone. It answers only what it knows for a node, with a packet of the same
// size. Without a key anybody who can send from a node's address, or change
// packets under way, can lie about a node's CPU use; with one, nobody can, nor
// replay an answer (it has the question's nonce) or a question (its clock must
// be newer than that of the last one from there).
type Peer struct {
	// Port is where all agents listen.
	Port uint16
	// Timeout is how long a probe waits.
	Timeout time.Duration
	// Keys are shared by all agents: the first signs, and each is accepted, so
	// that one can be replaced without a pause. Without any, nothing is signed.
	Keys [][]byte
	// Usage tells how busy the own node is, nil if that is not known, and its
	// cores. It may be nil.
	Usage func() (*state.CPU, int)
	Log   *slog.Logger
	// Told hears whether the socket could be opened.
	Told func(error)

	mu      sync.Mutex
	self    state.Node
	known   map[netip.Addr]*asker
	conn    *net.UDPConn
	moved   chan struct{} // closed when the own address is another
	pending map[uint64]inquiry
	clock   int64 // of the last question
	refused map[string]uint64
}

// asker is a node that may ask.
type asker struct {
	node  string
	clock int64           // of its last question that was accepted
	told  map[string]bool // the reasons of refusals that were logged
}

// listenRetry is how long a socket that cannot be opened is left alone: the node's
// address may not be there yet when weft starts.
const listenRetry = 10 * time.Second

// newPeer returns a Peer that knows no node yet.
func newPeer(o Options, log *slog.Logger) *Peer {
	told := o.Told
	if told == nil {
		told = func(error) {}
	}
	return &Peer{
		Told: told, Port: o.Port, Timeout: o.Timeout, Keys: o.Keys, Usage: o.Usage, Log: log,
		known: map[netip.Addr]*asker{}, moved: make(chan struct{}), pending: map[uint64]inquiry{}, refused: map[string]uint64{},
	}
}

// Know tells who is asking and who may ask: the node with the name self, and all
// nodes. What it knew of nodes that are still there stays.
func (p *Peer) Know(self string, nodes []state.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := make(map[netip.Addr]*asker, len(nodes))
	own := state.Node{Name: self}
	for _, n := range nodes {
		if n.Name == self {
			own = n
		}
		if a := p.known[n.Address]; a != nil && a.node == n.Name {
			known[n.Address] = a
			continue
		}
		known[n.Address] = &asker{node: n.Name, told: map[string]bool{}}
	}
	moved := own.Address != p.self.Address
	p.known, p.self = known, own
	if moved {
		close(p.moved)
		p.moved = make(chan struct{})
	}
}

// Run keeps the socket open until the context ends. That it cannot be opened is
// logged once and tried again: other ways to probe go on meanwhile.
func (p *Peer) Run(ctx context.Context) error {
	said := ""
	for ctx.Err() == nil {
		addr, moved := p.place()
		if !addr.IsValid() {
			wait(ctx, moved, 0)
			continue
		}
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, p.Port)))
		p.Told(err)
		if err != nil {
			if err.Error() != said {
				said = err.Error()
				p.Log.Warn("no probes between agents, for their socket cannot be opened; trying again", "error", err)
			}
			wait(ctx, moved, listenRetry)
			continue
		}
		said = ""
		p.serve(ctx, conn, moved)
	}
	return ctx.Err()
}

// place is where to listen, and what tells that it is elsewhere.
func (p *Peer) place() (netip.Addr, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.self.Address, p.moved
}

// wait returns when something moved, the context ended, or after d; 0 is for
// ever.
func wait(ctx context.Context, moved <-chan struct{}, d time.Duration) {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-moved:
	case <-timer:
	}
}

// serve reads packets until the context ends or the own address moved.
func (p *Peer) serve(ctx context.Context, conn *net.UDPConn, moved <-chan struct{}) {
	p.use(conn)
	defer p.use(nil)
	var closer sync.WaitGroup
	closer.Go(func() {
		wait(ctx, moved, 0)
		_ = conn.Close() // nothing waits in it that anybody misses
	})
	defer closer.Wait()
	if err := stamp(conn); err != nil {
		p.Log.Info("the kernel does not tell when packets arrive, so latencies have the time in them that agents wait", "error", err)
	}
	var buf [packetSize + 1]byte
	var said [stampSize]byte
	for {
		n, told, _, from, err := conn.ReadMsgUDPAddrPort(buf[:], said[:])
		received := arrival(said[:told], time.Now())
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Other errors are those of packets that were sent before.
		if err == nil {
			p.take(conn, buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), received)
		}
	}
}

func (p *Peer) use(conn *net.UDPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = conn
}

// Refused is how many packets were refused, by reason.
func (p *Peer) Refused() map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	refused := make(map[string]uint64, len(p.refused))
	for reason, n := range p.refused {
		refused[reason] = n
	}
	return refused
}
