package probe

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"weft/state"
)

// agents are Peers on loopback addresses, which Linux has 16 million of. Node n is
// 127.9.0.n. The tests use no namespace: nothing leaves the loopback.
type agents struct {
	t     *testing.T
	port  uint16
	nodes []state.Node
}

func newAgents(t *testing.T) *agents {
	a := &agents{t: t}
	for i, name := range []string{"one", "two", "three"} {
		a.nodes = append(a.nodes, state.Node{Name: name, Address: netip.AddrFrom4([4]byte{127, 9, 0, byte(i + 1)})})
	}
	// A port that is free on all of them, as good as can be told.
	probe, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4zero})
	if err != nil {
		t.Fatal(err)
	}
	a.port = netip.MustParseAddrPort(probe.LocalAddr().String()).Port()
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agents) target(i int) Target {
	return Target{Node: a.nodes[i].Name, Address: a.nodes[i].Address}
}

// start runs the Peer of node i, which knows the nodes given, or all of them.
func (a *agents) start(i int, o Options, known ...state.Node) (*Peer, *journal) {
	a.t.Helper()
	if known == nil {
		known = a.nodes
	}
	log := &journal{}
	o.Port, o.Timeout = a.port, cmp.Or(o.Timeout, 5*time.Second)
	p := newPeer(o, slog.New(slog.NewTextHandler(log, nil)))
	p.Know(a.nodes[i].Name, known)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	a.t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			a.t.Errorf("Run = %v, want that it was canceled", err)
		}
	})
	a.await(p)
	return p, log
}

func (a *agents) await(p *Peer) {
	a.t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(ms) {
		p.mu.Lock()
		open := p.conn != nil
		p.mu.Unlock()
		if open {
			return
		}
	}
	a.t.Fatal("no socket")
}

func keys(all ...string) (keys [][]byte) {
	for _, k := range all {
		keys = append(keys, []byte(k))
	}
	return keys
}

const (
	secret  = "a secret of 23 bytes ok"
	another = "another, of 24 bytes, ok"
)

func TestPeers(t *testing.T) {
	sampled := time.Now().Add(-1500 * ms)
	usage := func() (*state.CPU, int) { return &state.CPU{Ratio: 0.375, Measured: sampled}, 16 }
	idle := func() (*state.CPU, int) { return &state.CPU{Measured: sampled}, 1 }
	unknown := func() (*state.CPU, int) { return nil, 0 }
	cases := []struct {
		name   string
		asker  Options
		answer Options
		cpu    *float64
		cores  int
		err    string
		log    string // of the answerer
	}{
		{name: "without a key", answer: Options{Usage: usage}, cpu: ratio(0.375), cores: 16},
		{name: "an idle node is not an unknown one", answer: Options{Usage: idle}, cpu: ratio(0), cores: 1},
		{name: "CPU not known", answer: Options{Usage: unknown}},
		{name: "CPU not told"},
		{name: "with a key", asker: Options{Keys: keys(secret)}, answer: Options{Keys: keys(secret), Usage: usage}, cpu: ratio(0.375), cores: 16},
		{name: "the old key is still accepted", asker: Options{Keys: keys(secret, another)}, answer: Options{Keys: keys(another, secret), Usage: usage}, cpu: ratio(0.375), cores: 16},
		{name: "another key", asker: Options{Keys: keys(secret)}, answer: Options{Keys: keys(another)}, err: "deadline exceeded", log: "not signed with a key of ours"},
		{name: "a key where there is none", asker: Options{Keys: keys(secret)}, err: "deadline exceeded", log: "signed with a key, and we have none"},
		{name: "no key where there is one", answer: Options{Keys: keys(secret)}, err: "deadline exceeded", log: "not signed with a key of ours"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := newAgents(t)
			if c.err != "" {
				c.asker.Timeout = 200 * ms
			}
			one, _ := a.start(0, c.asker)
			_, log := a.start(1, c.answer)
			round, err := one.Round(t.Context(), a.target(1))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error = %v, want %q", err, c.err)
				}
				if n := strings.Count(log.String(), c.log); n != 1 {
					t.Errorf("the answerer said it %d times, want once: %s", n, log)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if round.Value <= 0 || round.Value > 5*time.Second || round.Source != "peer" || round.Cores != c.cores {
				t.Errorf("round = %+v", round)
			}
			if (round.CPU == nil) != (c.cpu == nil) {
				t.Fatalf("CPU = %+v, want %v", round.CPU, c.cpu)
			}
			if c.cpu != nil {
				if round.CPU.Ratio != *c.cpu || round.CPU.Source != "peer" {
					t.Errorf("CPU = %+v, want %v", round.CPU, *c.cpu)
				}
				if off := round.CPU.Measured.Sub(sampled); off < 0 || off > 5*time.Second {
					t.Errorf("sampled %v off", off)
				}
			}
		})
	}
}

func ratio(v float64) *float64 { return &v }

// A node asks itself like any other.
func TestPeerAsksItself(t *testing.T) {
	a := newAgents(t)
	one, _ := a.start(0, Options{Keys: keys(secret)})
	if _, err := one.Round(t.Context(), a.target(0)); err != nil {
		t.Error(err)
	}
}

// What is not a question of a known node for this node gets no answer at all.
func TestPeerIsSilent(t *testing.T) {
	a := newAgents(t)
	one, two := a.nodes[0], a.nodes[1]
	now := time.Now()
	ask := func(change func(*packet)) []byte {
		q := packet{kind: question, nonce: 7, clock: now.UnixNano(), node: nodeHash(two.Name)}
		if change != nil {
			change(&q)
		}
		return q.marshal([]byte(secret))
	}
	good := ask(nil)
	changed := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] ^= 1
		return b
	}
	cases := []struct {
		name     string
		from     netip.Addr
		packets  [][]byte
		answered int
		refused  string
	}{
		{"a question", one.Address, [][]byte{good}, 1, ""},
		{"from nobody", netip.MustParseAddr("127.9.0.99"), [][]byte{good}, 0, "from no node"},
		{"twice: a replay", one.Address, [][]byte{good, good}, 1, "its question is old"},
		{"an older one", one.Address, [][]byte{good, ask(func(q *packet) { q.clock-- })}, 1, "its question is old"},
		{"a newer one", one.Address, [][]byte{good, ask(func(q *packet) { q.clock++ })}, 2, ""},
		{"too old", one.Address, [][]byte{ask(func(q *packet) { q.clock = now.Add(-6 * time.Minute).UnixNano() })}, 0, "its question is old"},
		{"of the future", one.Address, [][]byte{ask(func(q *packet) { q.clock = now.Add(6 * time.Minute).UnixNano() }), good}, 1, "its question is old"},
		{"for another node", one.Address, [][]byte{ask(func(q *packet) { q.node = nodeHash("three") })}, 0, "asks for another node"},
		{"a bit of the nonce", one.Address, [][]byte{changed(8)}, 0, "not signed"},
		{"a bit of the signature", one.Address, [][]byte{changed(packetSize - 1)}, 0, "not signed"},
		{"another version", one.Address, [][]byte{changed(4)}, 0, "no packet of this version"},
		{"an answer nobody asked for", one.Address, [][]byte{ask(func(q *packet) { q.kind = answer })}, 0, ""},
		{"of an unknown kind", one.Address, [][]byte{ask(func(q *packet) { q.kind = 9 })}, 0, ""},
		{"cut short", one.Address, [][]byte{good[:packetSize-1]}, 0, "no packet"},
		{"too long", one.Address, [][]byte{append(bytes.Clone(good), 0)}, 0, "no packet"},
		{"empty", one.Address, [][]byte{{}}, 0, "no packet"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newAgents(t)
			p, log := b.start(1, Options{Keys: keys(secret)})
			answers := exchange(t, c.from, netip.AddrPortFrom(two.Address, b.port), c.packets, c.answered)
			if len(answers) != c.answered {
				t.Errorf("%d answers, want %d", len(answers), c.answered)
			}
			for _, answer := range answers {
				if len(answer) != packetSize {
					t.Errorf("an answer of %d bytes to a question of %d", len(answer), packetSize)
				}
			}
			reasons := ""
			for reason := range p.Refused() {
				reasons += reason
			}
			if !strings.Contains(reasons, c.refused) || (c.refused == "") != (reasons == "") {
				t.Errorf("refused for %q, want %q", reasons, c.refused)
			}
			if c.from != one.Address && log.String() != "" {
				t.Errorf("a stranger can fill the log: %s", log)
			}
		})
	}
}

// exchange sends packets and returns what comes back: so many answers, and what
// comes until a little after.
func exchange(t *testing.T, from netip.Addr, to netip.AddrPort, packets [][]byte, expected int) (answers [][]byte) {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, p := range packets {
		if _, err := conn.WriteToUDPAddrPort(p, to); err != nil {
			t.Fatal(err)
		}
	}
	for {
		patience := 100 * ms
		if len(answers) < expected {
			patience = 5 * time.Second
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		var buf [1500]byte
		n, err := conn.Read(buf[:])
		if err != nil {
			return answers
		}
		answers = append(answers, bytes.Clone(buf[:n]))
	}
}

// An answer counts once, for the question that it is about, and only if the node
// gave it that was asked.
func TestForgedAnswers(t *testing.T) {
	a := newAgents(t)
	p, _ := a.start(0, Options{Keys: keys(secret)})
	listener, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.nodes[1].Address, a.port)))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	forge := func(change func(*packet), key string) {
		var buf [packetSize]byte
		n, from, err := listener.ReadFromUDPAddrPort(buf[:])
		if err != nil || n != packetSize {
			t.Errorf("question of %d bytes, %v", n, err)
			return
		}
		reply := unmarshal(buf[:])
		reply.kind = answer
		change(&reply)
		for range 2 {
			if _, err := listener.WriteToUDPAddrPort(reply.marshal([]byte(key)), from); err != nil {
				t.Error(err)
			}
		}
	}
	cases := []struct {
		name   string
		change func(*packet)
		key    string
		good   bool
	}{
		{"as asked, twice", func(*packet) {}, secret, true},
		{"another nonce", func(p *packet) { p.nonce++ }, secret, false},
		{"another node", func(p *packet) { p.node++ }, secret, false},
		{"another key", func(*packet) {}, another, false},
	}
	for _, c := range cases {
		patience := 200 * ms
		if c.good {
			patience = 5 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		done := make(chan struct{})
		go func() {
			defer close(done)
			forge(c.change, c.key)
		}()
		_, err := p.ask(ctx, a.target(1))
		cancel()
		<-done
		if (err == nil) != c.good {
			t.Errorf("%s: error = %v", c.name, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending) != 0 {
		t.Errorf("%d questions wait for ever", len(p.pending))
	}
}

// The socket follows the node's address, and a port that is taken is said once.
func TestPeerMoves(t *testing.T) {
	a := newAgents(t)
	one, log := a.start(0, Options{})
	a.start(1, Options{})
	moved := append([]state.Node(nil), a.nodes...)
	moved[0].Address = a.nodes[1].Address // which is taken
	one.Know("one", moved)
	for end := time.Now().Add(5 * time.Second); !strings.Contains(log.String(), "cannot be opened") && time.Now().Before(end); {
		time.Sleep(ms)
	}
	if _, err := one.Round(t.Context(), a.target(1)); !errors.Is(err, errNoSocket) {
		t.Errorf("error = %v, want that there is no socket", err)
	}
	moved[0].Address = netip.MustParseAddr("127.9.0.77")
	one.Know("one", moved)
	a.await(one)
	if _, err := one.Round(t.Context(), Target{Node: "one", Address: moved[0].Address}); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines of log, want one: %s", n, log)
	}
}

func TestParseKeys(t *testing.T) {
	cases := []struct {
		name, text string
		want       [][]byte
		err        string
	}{
		{"one", secret, keys(secret), ""},
		{"one with an end of line", secret + "\n", keys(secret), ""},
		{"two", "\n  " + secret + "\r\n\n" + another + "\n\n", keys(secret, another), ""},
		{"short", secret + "\nshort\n", nil, "line 2: got a key of 5 bytes, expected at least 16"},
		{"none", " \n", nil, "no key in it"},
	}
	for _, c := range cases {
		got, err := ParseKeys([]byte(c.text))
		if diff := gocmp.Diff(c.want, got); diff != "" || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error = %v, want %q (-want +got):\n%s", c.name, err, c.err, diff)
		}
	}
}

// Whatever comes is read without a panic, and what is taken makes sense.
func FuzzPacket(f *testing.F) {
	f.Add((&packet{kind: answer, hasUsage: true, ratio: 0.5, cores: 4, age: time.Second}).marshal(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isPacket(b) {
			return
		}
		p := unmarshal(b)
		if !(p.ratio >= 0 && p.ratio <= 1) || p.age < 0 || p.cores > maxCores {
			t.Fatalf("%+v", p)
		}
		again := unmarshal(p.marshal(nil))
		if again != p {
			t.Fatalf("%+v is written as %+v", p, again)
		}
	})
}
