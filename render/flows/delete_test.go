package flows_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"go.uber.org/goleak"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/flows"
	"weft/render/nft"
	"weft/state"
	"weft/templates"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nodePort = 30000

// cluster is a lab whose node holds the rules of a state.
type cluster struct {
	*lab.Lab
	t   *testing.T
	six bool
}

// forEachFamily runs a test in a lab of its own for IPv4 and for IPv6.
func forEachFamily(t *testing.T, test func(*cluster)) {
	for _, six := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[six], func(t *testing.T) {
			test(&cluster{labtest.Build(t, lab.Options{Nodes: 2, Pods: 2}), t, six})
		})
	}
}

// node is the address that clients send to.
func (c *cluster) node() netip.Addr { return c.Node().Addr(c.six) }

// pod is the endpoint that answers with "a", "b" (on the node), "c" or "d".
func (c *cluster) pod(name string) netip.AddrPort {
	return netip.AddrPortFrom(c.Pods()[name[0]-'a'].Addr(c.six), labtest.Port)
}

// port is a ServicePort with the pods in equal shares; without any it is skipped.
func (c *cluster) port(protocol state.Protocol, nodePort uint16, pods ...string) *state.ServicePort {
	p := &state.ServicePort{Namespace: "ns", Name: fmt.Sprintf("web-%s-%d", protocol, nodePort), Protocol: protocol, NodePort: nodePort}
	for _, name := range pods {
		ap := c.pod(name)
		p.Endpoints = append(p.Endpoints, state.Endpoint{Address: ap.Addr(), Port: ap.Port(), Share: 1 / float64(len(pods))})
	}
	if len(pods) == 0 {
		p.Skipped = "no endpoints"
	}
	return p
}

// load puts the rules of a state into the node.
func (c *cluster) load(ports ...*state.ServicePort) *state.State {
	c.t.Helper()
	st := &state.State{Node: "node1", Addresses: []netip.Addr{c.node()}, ServicePorts: ports}
	st.Sort()
	set, err := render.Load(templates.Cascade)
	c.must(err)
	desired, err := apply.Desire(c.t.Context(), set, st, render.DefaultVars())
	c.must(err)
	c.must(c.Node().Do(func() error { return desired.Load(c.t.Context(), nft.Runner{}) }))
	return st
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// delete deletes what is stale and returns how many entries that were.
func (c *cluster) delete(before, after *state.State) int {
	c.t.Helper()
	var n int
	c.must(c.Node().Do(func() (err error) {
		n, err = flows.Delete(c.t.Context(), flows.Stale(before, after))
		return err
	}))
	return n
}

// entries are the IDs of all entries in the node's table, with what they are.
func (c *cluster) entries() map[uint32]string {
	c.t.Helper()
	found := map[uint32]string{}
	c.must(c.Node().Do(func() error {
		conn, err := conntrack.Dial(nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		all, err := conn.Dump(nil)
		for _, f := range all {
			found[f.ID] = fmt.Sprint(f.Zone, f.TupleOrig, f.TupleReply)
		}
		return err
	}))
	return found
}

// client is a connected socket outside of the cluster.
type client struct {
	t *testing.T
	net.Conn
}

func (c *cluster) dial(network string, port uint16) *client {
	c.t.Helper()
	var conn net.Conn
	c.must(c.Client.Do(func() (err error) {
		conn, err = net.Dial(network, netip.AddrPortFrom(c.node(), port).String())
		return err
	}))
	c.t.Cleanup(func() { _ = conn.Close() })
	return &client{c.t, conn}
}

// ask is the name of the pod that answers.
func (c *client) ask() string {
	c.t.Helper()
	question := "?"
	if c.LocalAddr().Network() == "tcp" {
		question = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	}
	var answer [512]byte
	if _, err := c.Write([]byte(question)); err != nil {
		return err.Error()
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := c.Read(answer[:])
	if err != nil {
		return err.Error()
	}
	lines := strings.Fields(string(answer[:n]))
	host := lines[len(lines)-1]
	return map[string]string{"node1-a": "a", "node1-b": "b", "node2-a": "c", "node2-b": "d"}[host]
}

func (c *client) wants(who, when string) {
	c.t.Helper()
	if got := c.ask(); got != who {
		c.t.Errorf("%s: %s %v is answered by %q, want %q", when, c.LocalAddr().Network(), c.LocalAddr(), got, who)
	}
}

// A client's socket goes on to the new endpoint, and nothing else is touched: a
// TCP connection to the endpoint that left, its other NodePort, what somebody
// else translates to it, and the same flow in another zone.
func TestEndpointLeaves(t *testing.T) {
	forEachFamily(t, func(c *cluster) {
		c.must(lab.Behind(c.Node().Namespace, []netip.Addr{c.node()}, 31000, []netip.AddrPort{c.pod("a")}))
		other := c.port(state.UDP, nodePort+1, "a")
		before := c.load(c.port(state.UDP, nodePort, "a"), c.port(state.TCP, nodePort, "a"), other)
		stale := []*client{c.dial("udp", nodePort), c.dial("udp", nodePort)}
		kept := []*client{c.dial("tcp", nodePort), c.dial("udp", nodePort+1), c.dial("udp", 31000)}
		for _, s := range slices.Concat(stale, kept) {
			s.wants("a", "at first")
		}
		c.addToZone(7, stale[0])

		after := c.load(c.port(state.UDP, nodePort, "c"), c.port(state.TCP, nodePort, "c"), other)
		for _, s := range stale {
			s.wants("a", "under the new rules alone (else the test shows nothing)")
		}
		entries := c.entries()
		if n := c.delete(before, after); n != len(stale) {
			t.Errorf("%d entries deleted, want %d", n, len(stale))
		}
		c.lost(entries, stale)
		for _, s := range stale {
			s.wants("c", "after the deletion")
		}
		for _, s := range kept {
			s.wants("a", "after the deletion")
		}
		if n := c.delete(before, after); n != 0 {
			t.Errorf("%d entries deleted by a second call, want none", n)
		}
	})
}

// addToZone makes an entry like the socket's in another zone.
func (c *cluster) addToZone(zone uint16, s *client) {
	c.t.Helper()
	local := netip.MustParseAddrPort(s.LocalAddr().String())
	f := conntrack.NewFlow(17, 0, local.Addr(), c.node(), local.Port(), nodePort, 600, 0)
	f.TupleReply.IP.SourceAddress, f.TupleReply.Proto.SourcePort = c.pod("a").Addr(), c.pod("a").Port()
	f.Zone = zone
	c.must(c.Node().Do(func() error {
		conn, err := conntrack.Dial(nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		return conn.Create(f)
	}))
}

// lost fails the test unless exactly the entries of the sockets are gone.
func (c *cluster) lost(before map[uint32]string, sockets []*client) {
	c.t.Helper()
	now := c.entries()
	var gone []string
	for id, what := range before {
		if _, ok := now[id]; !ok {
			gone = append(gone, what)
		}
	}
	for _, s := range sockets {
		gone = slices.DeleteFunc(gone, func(what string) bool { return strings.Contains(what, "Src: "+s.LocalAddr().String()) })
	}
	if len(gone) > 0 || len(before)-len(now) != len(sockets) {
		c.t.Errorf("gone are %d entries, want %d; not to be lost:\n%s", len(before)-len(now), len(sockets), strings.Join(gone, "\n"))
	}
}

// Of several endpoints, one leaves: the flows of the others stay.
func TestOneOfSeveralLeaves(t *testing.T) {
	forEachFamily(t, func(c *cluster) {
		before := c.load(c.port(state.UDP, nodePort, "a", "b", "c"))
		sockets := map[*client]string{}
		for range 30 {
			s := c.dial("udp", nodePort)
			sockets[s] = s.ask()
		}
		after := c.load(c.port(state.UDP, nodePort, "a", "c", "d"))
		want := 0
		for _, who := range sockets {
			if who == "b" {
				want++
			}
		}
		if n := c.delete(before, after); n != want {
			t.Errorf("%d entries deleted, want the %d of the endpoint that left", n, want)
		}
		for s, who := range sockets {
			if got := s.ask(); who != "b" && got != who || got == "b" {
				t.Errorf("a flow of %q goes to %q", who, got)
			}
		}
	})
}

// Without an endpoint, flows fall through to what stands behind weft.
func TestLastEndpointLeaves(t *testing.T) {
	forEachFamily(t, func(c *cluster) {
		c.must(lab.Behind(c.Node().Namespace, []netip.Addr{c.node()}, nodePort, []netip.AddrPort{c.pod("b")}))
		gone := map[string][]*state.ServicePort{"skipped": {c.port(state.UDP, nodePort)}, "deleted": nil}
		for name, ports := range gone {
			before := c.load(c.port(state.UDP, nodePort, "a"))
			s := c.dial("udp", nodePort)
			s.wants("a", name+", at first")
			after := c.load(ports...)
			s.wants("a", name+", under the new rules alone")
			if n := c.delete(before, after); n != 1 {
				t.Errorf("%s: %d entries deleted, want 1", name, n)
			}
			s.wants("b", name+", after the deletion")
		}
	})
}

// A sender that never pauses and never hears an answer moves on too.
func TestOneWaySender(t *testing.T) {
	forEachFamily(t, func(c *cluster) {
		old, fresh := c.sink("a"), c.sink("c")
		port := func(pod string) *state.ServicePort {
			p := c.port(state.UDP, nodePort, pod)
			p.Endpoints[0].Port = sinkPort
			return p
		}
		before := c.load(port("a"))
		defer c.send()()
		old.gets(t, "at first")
		after := c.load(port("c"))
		old.drop()
		old.gets(t, "under the new rules alone")
		if n := c.delete(before, after); n != 1 {
			t.Errorf("%d entries deleted, want 1", n)
		}
		fresh.gets(t, "after the deletion")
		old.drop()
		select {
		case <-old:
			t.Error("the endpoint that left still gets datagrams")
		case <-time.After(100 * time.Millisecond):
		}
	})
}

const sinkPort = 9000

// sink tells of each datagram that a pod gets; it never answers.
type sink chan struct{}

func (c *cluster) sink(pod string) sink {
	c.t.Helper()
	var conn net.PacketConn
	c.must(c.Pods()[pod[0]-'a'].Do(func() (err error) {
		conn, err = net.ListenPacket("udp", fmt.Sprintf("[::]:%d", sinkPort))
		return err
	}))
	got, ended := make(sink, 1), make(chan struct{})
	go func() {
		defer close(ended)
		var b [64]byte
		for {
			if _, _, err := conn.ReadFrom(b[:]); err != nil {
				return
			}
			select {
			case got <- struct{}{}:
			default:
			}
		}
	}()
	c.t.Cleanup(func() { _ = conn.Close(); <-ended })
	return got
}

// drop forgets what came until now, and what is on its way.
func (s sink) drop() {
	time.Sleep(20 * time.Millisecond)
	select {
	case <-s:
	default:
	}
}

func (s sink) gets(t *testing.T, when string) {
	t.Helper()
	select {
	case <-s:
	case <-time.After(5 * time.Second):
		t.Fatalf("%s: no datagram in five seconds", when)
	}
}

// send sends a datagram each millisecond from one socket until stop is called.
func (c *cluster) send() (stop func()) {
	s := c.dial("udp", nodePort)
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			_, _ = s.Write([]byte("!")) // one that is lost is followed by another
			<-tick.C
		}
	}()
	return func() { cancel(); <-ended }
}

func TestNothingToDelete(t *testing.T) {
	// Without stale flows the kernel is not asked, so this works for everybody.
	if n, err := flows.Delete(t.Context(), nil); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	tcp := flows.Flow{Protocol: state.TCP, Addresses: []netip.Addr{addr("192.0.2.1")}, NodePort: 30000, Endpoint: netip.MustParseAddrPort("10.0.0.1:80")}
	if n, err := flows.Delete(t.Context(), []flows.Flow{tcp}); n != 0 || err != nil {
		t.Errorf("TCP: got %d, %v", n, err)
	}
}

func TestCanceled(t *testing.T) {
	ns := labtest.Scratch(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := ns.Do(func() error {
		_, err := flows.Delete(ctx, flows.Stale(stateOf(udp(30000, "10.0.0.1:53")), stateOf()))
		return err
	})
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error = %v, want that the context was canceled", err)
	}
}
