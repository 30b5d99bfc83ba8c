package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/state"
)

// BenchmarkListening is what it costs to hear of connections at 2,000 and at 10,000 new
// ones a second, each with the seven packets of a short request: the time of the kernel
// for the packets of a connection (packets-µs), to be compared with that of "off",
// and the time of this process to hear of it (hear-µs), for each connection.
//
// The packets go from one TUN device to another through the rules of a node. The
// kernel works on them inside the system call that writes them, so its time is
// that of the writing thread.
func BenchmarkListening(b *testing.B) {
	cases := []struct {
		name   string
		listen func(*testing.B, *lab.Namespace) func()
	}{
		{"off", func(*testing.B, *lab.Namespace) func() { return func() {} }},
		{"news", listen},
		{"ledger", listenLedger},
		{"every-change", listenChanges},
		{"dump-each-second", listenDump},
		{"counters-each-second", listenCounters},
	}
	for _, c := range cases {
		for _, rate := range []int{2000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, rate), func(b *testing.B) {
				f := newFlood(b)
				stop := c.listen(b, f.ns)
				before, hearing := threadTime(b), processTime(b)
				start := time.Now()
				for b.Loop() {
					f.connect(b)
					f.pace(start, rate)
				}
				took := time.Since(start)
				own := threadTime(b) - before
				other := processTime(b) - hearing - own
				stop()
				b.ReportMetric(float64(b.N)/took.Seconds(), "conn/s")
				b.ReportMetric(float64(own.Microseconds())/float64(b.N), "packets-µs/conn")
				b.ReportMetric(float64(other.Microseconds())/float64(b.N), "hear-µs/conn")
			})
		}
	}
}

func listen(b *testing.B, ns *lab.Namespace) func() {
	stop, _ := observed(b, ns)
	return stop
}

// listenLedger holds what is heard against the shares, too.
func listenLedger(b *testing.B, ns *lab.Namespace) func() {
	stop, o := observed(b, ns)
	st := floodState()
	st.ServicePorts[0].Endpoints[0].Share = 1
	l := NewLedger(o, func() *state.State { return st }, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.Run(ctx) }()
	return func() { cancel(); <-done; stop() }
}

func observed(b *testing.B, ns *lab.Namespace) (stop func(), o *Observer) {
	o = New(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	o.begin = within(ns)
	o.Aim(floodState())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = o.Run(ctx, func() {}) }()
	for {
		if _, err := o.Counts(); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return func() {
		time.Sleep(50 * time.Millisecond)
		counts, err := o.Counts()
		if err != nil {
			b.Errorf("counts: %v", err)
		} else if n := total(counts); n != uint64(b.N) {
			b.Logf("heard of %d of %d connections", n, b.N)
		}
		cancel()
		<-done
	}, o
}

func total(c *Counts) (n uint64) {
	for _, by := range c.By {
		for _, e := range by {
			n += e.Opened
		}
	}
	return n
}

// listenDump reads the whole table once a second.
func listenDump(b *testing.B, ns *lab.Namespace) func() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = ns.Do(func() error {
				conn, err := conntrack.Dial(nil)
				if err != nil {
					return err
				}
				defer conn.Close()
				start := time.Now()
				flows, err := conn.Dump(nil)
				b.Logf("%d entries in %v", len(flows), time.Since(start).Round(time.Millisecond))
				return err
			})
			sleep(ctx, time.Second)
		}
	}()
	return func() { cancel(); <-done }
}

// listenChanges hears of all that becomes of a connection, and reads it.
func listenChanges(b *testing.B, ns *lab.Namespace) func() {
	var s *socket
	err := ns.Do(func() (err error) {
		s, err = openSocket()
		return err
	})
	if err == nil {
		err = s.listen()
	}
	for _, group := range []int{2, 3} { // NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY
		if err == nil {
			err = s.control(func(fd int) error {
				return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group)
			})
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	messages, lost := 0, 0
	go func() {
		defer close(done)
		stop := s.until(ctx)
		defer stop()
		for ctx.Err() == nil {
			err := s.receive(func(message []byte) {
				messages++
				m, _ := cut(message)
				_ = find(m.attrs, attrTupleReply)
				_ = readSight(m.attrs)
			})
			if errors.Is(err, unix.ENOBUFS) {
				lost++
			}
			sleep(ctx, respite)
		}
	}()
	return func() {
		cancel()
		<-done
		b.Logf("%d messages about %d connections, %d losses", messages, b.N, lost)
		if err := s.close(); err != nil {
			b.Error(err)
		}
	}
}

// listenCounters has a counter in the rule and reads it once a second. It tells what
// was opened and nothing of what became of it.
func listenCounters(b *testing.B, ns *lab.Namespace) func() {
	if _, err := ns.Run("nft", "flush", "chain", "ip", "t", "prerouting"); err != nil {
		b.Fatal(err)
	}
	if _, err := ns.Run("nft", "add", "rule", "ip", "t", "prerouting", "ip", "daddr", "10.34.4.141", "tcp", "dport", "30000", "counter", "dnat", "to", "10.42.1.10:8080"); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if _, err := ns.Run("nft", "-j", "list", "table", "ip", "t"); err != nil {
				b.Error(err)
			}
			sleep(ctx, time.Second)
		}
	}()
	return func() { cancel(); <-done }
}

func threadTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func processTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	var children unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &children); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano() + children.Utime.Nano() + children.Stime.Nano())
}

// flood makes connections out of packets.
type flood struct {
	ns             *lab.Namespace
	client, server *os.File
	n              int
}

var (
	floodNode   = netip.MustParseAddr("10.34.4.141")
	floodServer = netip.MustParseAddrPort("10.42.1.10:8080")
)

func newFlood(b *testing.B) *flood {
	b.Helper()
	runtime.LockOSThread()
	f := &flood{ns: labtest.Scratch(b)}
	b.Cleanup(runtime.UnlockOSThread)
	f.client = f.tun(b, "client", "10.34.4.141/16")
	f.server = f.tun(b, "server", "10.42.1.1/24")
	for _, s := range []string{"net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_checksum=0", "net.netfilter.nf_conntrack_tcp_be_liberal=1", "net.ipv4.conf.all.rp_filter=0"} {
		if _, err := f.ns.Run("sysctl", "-w", s); err != nil && s == "net.ipv4.ip_forward=1" {
			b.Fatal(err)
		}
	}
	if err := f.ns.Load("table ip t {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -150\n\t\tip daddr 10.34.4.141 tcp dport 30000 dnat to 10.42.1.10:8080\n\t}\n}\n"); err != nil {
		b.Fatal(err)
	}
	return f
}

func (f *flood) tun(b *testing.B, name, addr string) *os.File {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	attrs.TxQLen = 1 // what comes out is lost, which costs the least
	d := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN, NonPersist: true, Queues: 1, Flags: netlink.TUNTAP_NO_PI}
	if err := f.ns.Do(func() error { return netlink.LinkAdd(d) }); err != nil {
		b.Fatal(err)
	}
	for _, args := range [][]string{{"ip", "addr", "add", addr, "dev", name}, {"ip", "link", "set", name, "up", "txqueuelen", "1"}} {
		if _, err := f.ns.Run(args[0], args[1:]...); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { d.Fds[0].Close() })
	return d.Fds[0]
}

const (
	fin = 1
	syn = 2
	ack = 16
)

// connect sends what a short request sends, without its data.
func (f *flood) connect(b *testing.B) {
	f.n++
	client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 34, byte(8 + f.n/50000), 1}), uint16(10000+f.n%50000))
	node := netip.AddrPortFrom(floodNode, 30000)
	for _, p := range []struct {
		file     *os.File
		from, to netip.AddrPort
		seq, ack uint32
		flags    byte
	}{
		{f.client, client, node, 100, 0, syn},
		{f.server, floodServer, client, 500, 101, syn | ack},
		{f.client, client, node, 101, 501, ack},
		{f.server, floodServer, client, 501, 101, fin | ack},
		{f.client, client, node, 101, 502, ack},
		{f.client, client, node, 101, 502, fin | ack},
		{f.server, floodServer, client, 502, 102, ack},
	} {
		if _, err := p.file.Write(packetOf(p.from, p.to, p.seq, p.ack, p.flags)); err != nil {
			b.Fatal(err)
		}
	}
}

func packetOf(from, to netip.AddrPort, seq, ackno uint32, flags byte) []byte {
	p := make([]byte, 40)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(p[2:], 40)
	copy(p[12:], from.Addr().AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(p[20:], from.Port())
	binary.BigEndian.PutUint16(p[22:], to.Port())
	binary.BigEndian.PutUint32(p[24:], seq)
	binary.BigEndian.PutUint32(p[28:], ackno)
	p[32], p[33] = 5<<4, flags
	binary.BigEndian.PutUint16(p[34:], 65535)
	return p
}

// pace keeps to so many connections a second.
func (f *flood) pace(start time.Time, perSecond int) {
	if f.n%50 == 0 {
		time.Sleep(time.Until(start.Add(time.Duration(f.n) * time.Second / time.Duration(perSecond))))
	}
}

func floodState() *state.State {
	return &state.State{Addresses: []netip.Addr{floodNode}, ServicePorts: []*state.ServicePort{{
		Protocol: state.TCP, NodePort: 30000, Endpoints: []state.Endpoint{{Address: floodServer.Addr(), Port: floodServer.Port()}},
	}}}
}
