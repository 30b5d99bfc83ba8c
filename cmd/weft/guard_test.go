package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/state"
	"weft/state/traffic"
	"weft/state/weight"
)

// server answers each connection in a pod, unless it is told to be slow or is shut.
type server struct {
	t        *testing.T
	pod      *lab.Host
	listener net.Listener
	slow     atomic.Bool
	keeps    atomic.Bool
	asked    atomic.Int64
	serving  sync.WaitGroup
}

// slowness is how long a server takes that is told to be slow.
const slowness = 2 * time.Second

// serverPort is another than that of the backends of labtest.
const serverPort = 9000

func serveIn(t *testing.T, pod *lab.Host) *server {
	t.Helper()
	s := &server{t: t, pod: pod}
	err := pod.Do(func() (err error) {
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		s.listener, err = config.Listen(context.Background(), "tcp", s.addr().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.serving.Go(s.accept)
	t.Cleanup(func() {
		s.shut()
		s.serving.Wait()
	})
	return s
}

func (s *server) addr() netip.AddrPort { return netip.AddrPortFrom(s.pod.IPv4, serverPort) }

// shut makes the pod refuse connections.
func (s *server) shut() { _ = s.listener.Close() } // a second time is an error

func (s *server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.asked.Add(1)
		s.serving.Go(func() {
			defer conn.Close()
			if s.slow.Load() {
				time.Sleep(slowness)
			}
			_, _ = io.WriteString(conn, "hello\n") // a client that left is no concern of ours
			if s.keeps.Load() {
				_, _ = io.Copy(io.Discard, conn) // until the client ends it
			}
		})
	}
}

// load opens connections from the client at a fixed rate, whatever becomes of those
// before, and waits for an answer on each.
type load struct {
	opened, refused atomic.Int64
	context         context.Context
	stop            context.CancelFunc
	under           sync.WaitGroup
}

func loading(t *testing.T, from *lab.Namespace, to netip.AddrPort, every time.Duration) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel, context: ctx}
	l.under.Go(func() {
		err := from.Do(func() error {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for ctx.Err() == nil {
				l.connect(to)
				<-tick.C
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); l.under.Wait() })
	return l
}

// connect is called in the client's namespace.
func (l *load) connect(to netip.AddrPort) {
	l.opened.Add(1)
	conn, err := net.DialTimeout("tcp", to.String(), time.Second)
	if err != nil {
		l.refused.Add(1)
		return
	}
	l.under.Go(func() {
		defer conn.Close()
		defer context.AfterFunc(l.context, func() { _ = conn.Close() })()
		_, _ = io.ReadAll(conn) // how long it takes is what matters
	})
}

// prometheusIn is one that says of each node that it is busy to the same degree.
func prometheusIn(t *testing.T, ns *lab.Namespace, nodes []*lab.Node, busy float64) string {
	t.Helper()
	var result []string
	for _, n := range nodes {
		for kind, value := range map[string]float64{"ratio": busy, "age": 0.5, "cores": 4} {
			result = append(result, fmt.Sprintf(`{"metric":{"weft":%q,"node":%q},"value":[1,"%v"]}`, kind, n.Host.Host, value))
		}
	}
	var listener net.Listener
	err := ns.Do(func() (err error) {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(result, ","))
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // until it is closed
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	return "http://" + listener.Addr().String()
}

// guarded is a weft with three nodes that have a server each.
type guarded struct {
	*life
	lab     *lab.Lab
	servers []*server
	load    *load
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	network := labtest.Build(t, lab.Options{Nodes: 3, Pods: 1})
	g := &guarded{life: newLife(t, network.Node().Namespace), lab: network}
	for _, n := range network.Nodes {
		g.servers = append(g.servers, serveIn(t, n.Pods[0]))
	}
	return g
}

// run starts weft, and connections at intervals.
func (g *guarded) run(every time.Duration, more string) {
	g.t.Helper()
	g.configure(more)
	g.start(nothing, "run")
	g.within(20*time.Second, 0, "it is up", func(state.Factor) bool { return strings.Contains(g.logged(), "rules proven") })
	g.load = loading(g.t, g.lab.Client, netip.AddrPortFrom(g.lab.Node().IPv4, testPort), every)
}

func (g *guarded) configure(more string) {
	g.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, ownFiles+"node: node1\nstate: %s/run/state.yaml\nprobe: off\n%s\nstatic:\n  addresses: [%v]\n  nodes:\n", g.dir, more, g.lab.Node().IPv4)
	for _, n := range g.lab.Nodes {
		fmt.Fprintf(&b, "  - {name: %s, address: %v}\n", n.Host.Host, n.IPv4)
	}
	fmt.Fprintf(&b, "  services:\n  - name: web\n    nodePort: %d\n    endpoints:\n", testPort)
	for i, s := range g.servers {
		fmt.Fprintf(&b, "    - {address: %v, port: %d, node: %s}\n", s.addr().Addr(), serverPort, g.lab.Nodes[i].Host.Host)
	}
	g.write(g.conf, b.String())
}

// factor is what the state file says of a node now.
func (g *guarded) factor(i int) state.Factor {
	g.t.Helper()
	file := g.dir + "/run/state.yaml"
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return state.Factor{} // it has just started
	}
	if err != nil {
		g.t.Fatal(err)
	}
	st, err := state.Decode(file, text)
	if err != nil {
		g.t.Fatal(err)
	}
	return st.ServicePorts[0].Factors[i]
}

// within waits until something holds for a node, and returns how long it took.
func (g *guarded) within(most time.Duration, i int, what string, holds func(state.Factor) bool) time.Duration {
	g.t.Helper()
	start := time.Now()
	for f := g.factor(i); ; f = g.factor(i) {
		took := time.Since(start)
		switch {
		case holds(f):
			g.t.Logf("%s: after %v", what, took.Round(10*time.Millisecond))
			return took
		case took > most:
			g.t.Fatalf("%s: not within %v: %s", what, most, show(f))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func show(f state.Factor) string {
	text := fmt.Sprintf("%s has the share %v", f.Node, f.Share)
	if f.Guard != nil {
		text += fmt.Sprintf(", guard %v", *f.Guard)
	}
	if f.Trim != nil {
		text += fmt.Sprintf(", trim %v", *f.Trim)
	}
	return text
}

func isCut(f state.Factor) bool     { return f.Guard != nil && *f.Guard < 0.5 && f.Share < 0.22 }
func isWatched(f state.Factor) bool { return f.Guard != nil && *f.Guard == 1 && f.Share > 0.3 }

// part is which part of the connections count as n does in the next seconds.
func (g *guarded) part(n *atomic.Int64) float64 {
	opened, before := g.load.opened.Load(), n.Load()
	time.Sleep(3 * time.Second)
	return float64(n.Load()-before) / float64(g.load.opened.Load()-opened)
}

func TestConnectionsOf(t *testing.T) {
	at, e := time.Now(), netip.MustParseAddrPort("10.42.1.10:80")
	got := connectionsOf(&traffic.Counts{At: at, By: map[traffic.NodePort]map[netip.AddrPort]traffic.Count{
		{Protocol: state.TCP, Port: 30000}: {e: {Opened: 900, Followed: 200, Failed: 3, Young: 5, Open: 70, Seconds: 12.5}},
		{Protocol: state.UDP, Port: 30000}: {e: {Opened: 7}},
	}})
	c := got.Counts[weight.NodePort{Protocol: state.TCP, Port: 30000}][e]
	if want := (weight.Count{Opened: 200, Failed: 3, Young: 5, Open: 70, Seconds: 12.5}); len(got.Counts) != 1 || !got.At.Equal(at) || !got.Exact || c != want {
		t.Errorf("got %+v of %+v, want %+v", c, got, want)
	}
}

// TestGuard sends real connections through real rules. An endpoint that is slow
// loses its share in a second or two, and so does one that refuses; the kernel
// follows, and the trim learns of it although CPU use says nothing.
func TestGuard(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	url := prometheusIn(t, g.ns, g.lab.Nodes, 0.7)
	g.run(10*time.Millisecond, "cpu: prometheus\nprometheusInterval: 1s\nprometheusUrl: "+url)
	g.within(30*time.Second, 1, "the guard watches", func(f state.Factor) bool { return isWatched(f) && f.Trim != nil })
	time.Sleep(5 * time.Second) // so that it has something to compare with
	if f := g.factor(1); !isWatched(f) {
		t.Errorf("nothing is wrong, and %s", show(f))
	}

	g.servers[1].slow.Store(true)
	g.within(10*time.Second, 1, "the slow node is cut", isCut)
	if p := g.part(&g.servers[1].asked); p > 0.24 {
		t.Errorf("after the cut, the slow node gets %.2f of the connections", p)
	}
	g.within(30*time.Second, 1, "the trim learns", func(f state.Factor) bool { return f.Trim != nil && *f.Trim < 0.97 })

	g.servers[1].slow.Store(false)
	g.within(60*time.Second, 1, "the cut ends", func(f state.Factor) bool { return f.Guard == nil || *f.Guard > 0.8 })

	g.servers[2].shut()
	g.within(10*time.Second, 2, "the node that refuses is cut", isCut)
	if p := g.part(&g.load.refused); p > 0.24 {
		t.Errorf("after the cut, %.2f of the connections are refused", p)
	}
}

// TestGuardIsOff has a kernel that does not tell of connections: weft says so and
// steers on without. When it does again, so does the guard, though no CPU use is
// known.
func TestGuardIsOff(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	events := func(value string) {
		if _, err := g.ns.Run("sysctl", "-w", "net.netfilter.nf_conntrack_events="+value); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.ns.Load("table ip t {\n\tchain c {\n\t\ttype filter hook input priority 0\n\t\tct state new counter\n\t}\n}\n"); err != nil {
		t.Fatal(err) // something that tracks connections, so that there is a switch
	}
	events("0")
	g.servers[1].slow.Store(true)
	g.run(10*time.Millisecond, "cpu: off")
	time.Sleep(9 * time.Second)
	f := g.factor(1)
	if f.Guard != nil || f.Share < 0.33 || !strings.Contains(g.logged(), "connections are not counted, so they guard nothing") {
		t.Errorf("%s; the log:\n%s", show(f), g.logged())
	}
	if err := g.differs(g.wanted()); err != nil {
		t.Errorf("it does not steer: %v", err)
	}
	events("1")
	g.within(40*time.Second, 1, "the slow node is cut", isCut)
}

// TestGuardEvensOut keeps all connections open. While they are all on one node, since
// the others were drained, new ones go past it: its share of those is less than it will
// be when each node has as many.
func TestGuardEvensOut(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for _, s := range g.servers {
		s.keeps.Store(true)
	}
	url := prometheusIn(t, g.ns, g.lab.Nodes, 0.95)
	common := "cpu: prometheus\nprometheusInterval: 1s\nprometheusUrl: " + url
	g.run(200*time.Millisecond, common+"\nnodeWeights: node2=0,node3=0")
	time.Sleep(20 * time.Second)
	if others := g.servers[1].asked.Load() + g.servers[2].asked.Load(); others > 0 || g.servers[0].asked.Load() < 50 {
		t.Fatalf("%d connections to the first node and %d to drained ones", g.servers[0].asked.Load(), others)
	}
	g.configure(common)
	g.within(30*time.Second, 0, "new connections go past the first node", func(f state.Factor) bool {
		return f.Base != nil && *f.Base < 0.4 && f.Share < 0.1
	})
	if p := g.part(&g.servers[0].asked); p > 0.25 {
		t.Errorf("it gets %.2f of the new connections", p)
	}
}
