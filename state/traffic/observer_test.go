package traffic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rules send a port of the node to each endpoint.
func rules(node netip.Addr, endpoints ...netip.AddrPort) string {
	var lines strings.Builder
	for i, e := range endpoints {
		fmt.Fprintf(&lines, "\t\tip daddr %v tcp dport %d dnat to %v\n", node, 30000+i, e)
	}
	return "table ip t {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -150\n" + lines.String() +
		"\t}\n\tchain postrouting {\n\t\ttype nat hook postrouting priority 90\n\t\tct status dnat masquerade\n\t}\n}\n"
}

// observing is an Observer in a namespace, of ServicePorts with an endpoint each.
func observing(t testing.TB, ns *lab.Namespace, node netip.Addr, endpoints ...netip.AddrPort) *Observer {
	t.Helper()
	return observingFor(t, func() {}, ns, node, endpoints...)
}

// observingFor has it call changed.
func observingFor(t testing.TB, changed func(), ns *lab.Namespace, node netip.Addr, endpoints ...netip.AddrPort) *Observer {
	t.Helper()
	o := New(slog.New(slog.DiscardHandler))
	o.begin = within(ns)
	st := &state.State{Addresses: []netip.Addr{node}}
	for i, e := range endpoints {
		st.ServicePorts = append(st.ServicePorts, &state.ServicePort{
			Protocol: state.TCP, NodePort: uint16(30000 + i), Endpoints: []state.Endpoint{{Address: e.Addr(), Port: e.Port()}},
		})
	}
	o.Aim(st)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx, changed) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
	return o
}

// within begins a session in a namespace.
func within(ns *lab.Namespace) func() (*session, error) {
	return func() (s *session, err error) {
		err = ns.Do(func() error { s, err = begin(); return err })
		return s, err
	}
}

// eventually waits until the counts of a port are as they should be.
func eventually(t *testing.T, o *Observer, port int, e netip.AddrPort, what string, holds func(Count) bool) Count {
	t.Helper()
	var c Count
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var all *Counts
		if all, err = o.Counts(); err != nil {
			continue
		}
		if c = all.By[tcp(uint16(port))][e]; holds(c) {
			return c
		}
	}
	t.Errorf("%s: not after 30 s; last %+v, %v", what, c, err)
	return c
}

// Real connections: those that are answered, held open, refused and swallowed.
func TestConnections(t *testing.T) {
	l := labtest.Build(t, lab.Options{Nodes: 1, Pods: 3})
	node := l.Node()
	at := func(pod int, port uint16) netip.AddrPort { return netip.AddrPortFrom(node.Pods[pod].IPv4, port) }
	serves, refuses, swallows := at(0, labtest.Port), at(1, 9), at(2, labtest.Port)
	if err := node.Load(rules(node.IPv4, serves, refuses, swallows)); err != nil {
		t.Fatal(err)
	}
	if err := node.Pods[2].Load("table ip t {\n\tchain c {\n\t\ttype filter hook input priority 0\n\t\ttcp dport 8080 drop\n\t}\n}\n"); err != nil {
		t.Fatal(err)
	}
	o := observing(t, node.Namespace, node.IPv4, serves, refuses, swallows)
	eventually(t, o, 30000, serves, "the first counts", func(Count) bool { return true })
	to := func(i int) netip.AddrPort { return netip.AddrPortFrom(node.IPv4, uint16(30000+i)) }

	keeps := dial(t, l.Client, to(0))
	kept := time.Now()
	if _, err := io.WriteString(keeps, "GET / HTTP/1.1\r\nHost: web\r\n\r\n"); err != nil { // or it is closed after five seconds
		t.Fatal(err)
	}
	if _, err := lab.Count(t.Context(), l.Client, "tcp", to(0), 200, 4); err != nil {
		t.Fatal(err)
	}
	c := eventually(t, o, 30000, serves, "200 that are over", func(c Count) bool { return c.Opened == 201 && c.Young == 1 })
	if c.Failed != 0 || c.Seconds <= 0 {
		t.Errorf("counts are %+v, want none failed and some seconds", c)
	}

	_, _ = lab.Count(t.Context(), l.Client, "tcp", to(1), 10, 2) // all are refused
	eventually(t, o, 30001, refuses, "10 that were refused", func(c Count) bool { return c.Opened == 10 && c.Failed == 10 && c.Young == 0 })

	before := c.Seconds
	conn := dial(t, l.Client, to(0))
	c = eventually(t, o, 30000, serves, "one that is open", func(c Count) bool { return c.Opened == 202 && c.Young == 2 && c.Seconds > before+0.2 })
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, o, 30000, serves, "it is closed", func(d Count) bool { return d.Young == 1 && d.Opened == 202 && d.Failed == 0 && d.Seconds < c.Seconds+2 })

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	err := l.Client.Do(func() error {
		_, err := new(net.Dialer).DialContext(ctx, "tcp", to(2).String())
		return err
	})
	if err == nil {
		t.Error("an endpoint answered though all was dropped")
	}
	eventually(t, o, 30002, swallows, "one that was not answered", func(c Count) bool { return c.Opened == 1 && c.Failed == 1 && c.Young == 0 })

	eventually(t, o, 30000, serves, "one that is kept open", func(c Count) bool { return c.Open == 1 && c.Young == 0 })
	if age := time.Since(kept); age < Youth {
		t.Errorf("it is kept open after %v", age)
	}
	if err := keeps.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, o, 30000, serves, "it is closed, too", func(c Count) bool { return c.Open == 0 && c.Failed == 0 })
}

// TestToldAfterALull checks that the first connection after a while is told at once, and
// those behind it are not each.
func TestToldAfterALull(t *testing.T) {
	l := labtest.Build(t, lab.Options{Nodes: 1, Pods: 1})
	node := l.Node()
	serves := netip.AddrPortFrom(node.Pods[0].IPv4, labtest.Port)
	if err := node.Load(rules(node.IPv4, serves)); err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{}, 1000)
	o := observingFor(t, func() { told <- struct{}{} }, node.Namespace, node.IPv4, serves)
	eventually(t, o, 30000, serves, "the first counts", func(Count) bool { return true })
	for round := range 2 {
		for range 10 {
			if err := dial(t, l.Client, netip.AddrPortFrom(node.IPv4, 30000)).Close(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, o, 30000, serves, "they are over", func(c Count) bool { return int(c.Opened) == 10*(round+1) && c.Open == 0 })
		if got := len(told); got != round+1 {
			t.Errorf("told %d times after %d lulls", got, round+1)
		}
		time.Sleep(lull + 200*time.Millisecond)
	}
}

func dial(t *testing.T, ns *lab.Namespace, to netip.AddrPort) (conn net.Conn) {
	t.Helper()
	err := ns.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", to.String(), 5*time.Second)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Where the kernel cannot or must not tell, there are no counts, and it is said why.
func TestOff(t *testing.T) {
	var log bytes.Buffer
	why := errors.New("no right to")
	o := New(slog.New(slog.NewTextHandler(&log, nil)))
	o.begin = func() (*session, error) { return nil, why }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx, func() {}) }()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := o.Counts(); errors.Is(err, why) {
			break
		}
	}
	cancel()
	<-ended
	if counts, err := o.Counts(); counts != nil || !errors.Is(err, why) {
		t.Errorf("counts = %v, %v", counts, err)
	}
	if !strings.Contains(log.String(), "no right to") {
		t.Errorf("log: %s", &log)
	}
}

// The switch of the kernel is looked at.
func TestSwitch(t *testing.T) {
	ns := labtest.Scratch(t)
	if err := ns.Load(rules(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort("192.0.2.2:80"))); err != nil {
		t.Fatal(err)
	}
	try := func() error {
		return ns.Do(func() error {
			s, err := begin()
			if err == nil {
				err = s.close()
			}
			return err
		})
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.Run("sysctl", "-w", "net.netfilter.nf_conntrack_events=0"); err != nil {
		t.Fatal(err)
	}
	if err := try(); err == nil || !strings.Contains(err.Error(), "nf_conntrack_events is 0") {
		t.Errorf("error = %v", err)
	}
}
