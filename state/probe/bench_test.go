package probe

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/state"
)

// BenchmarkAgent is what probing costs an agent among n: the probes that it sends a
// second, and the time of processors for each second, its own and that of those who
// answer, with a key. All are in this process, on addresses of the loopback. What the
// first rounds cost, which come at once, is left out. An operation is ten seconds.
func BenchmarkAgent(b *testing.B) {
	for _, n := range []int{10, 200, 1000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			m, answered := among(b, n)
			for len(measured(m)) <= n {
				time.Sleep(100 * ms)
			}
			time.Sleep(10 * time.Second) // for what had to wait while they came
			before, start, cpu := answered.Load(), time.Now(), processTime(b)
			for b.Loop() {
				time.Sleep(10 * time.Second)
			}
			took := time.Since(start).Seconds()
			b.ReportMetric(float64(answered.Load()-before)/took, "probes/s")
			b.ReportMetric((processTime(b)-cpu).Seconds()*1000/took, "cpu-ms/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// among is a Monitor that runs, among n agents that answer and count that.
func among(b *testing.B, n int) (m *Monitor, answered *atomic.Int64) {
	b.Helper()
	st, answered := cluster(n), &atomic.Int64{}
	for i := range st.Nodes { // 127.10.x.128 to 255, and more of x
		st.Nodes[i].Address = netip.AddrFrom4([4]byte{127, 10, byte(i >> 7), byte(128 + i&0x7f)})
	}
	o := Options{Mode: ModePeer, Interval: DefaultInterval, Timeout: DefaultTimeout, Port: freePort(b, st.Nodes[0].Address), Keys: keys(secret)}
	o.Usage = func() (*state.CPU, int) {
		answered.Add(1)
		return &state.CPU{Ratio: 0.5, Measured: time.Now()}, 4
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	b.Cleanup(func() { cancel(); running.Wait() })
	log := slog.New(slog.DiscardHandler)
	for _, other := range st.Nodes[1:] {
		p := newPeer(o, log)
		p.Know(other.Name, st.Nodes[:1])
		p.self = other
		running.Go(func() { _ = p.Run(ctx) })
	}
	m = New(o, log)
	m.Aim(st)
	running.Go(func() { _ = m.Run(ctx, func() {}) })
	return m, answered
}

// measured are the nodes whose latency is known.
func measured(m *Monitor) (names []string) {
	for name, k := range m.Measurements() {
		if k.Latency != nil {
			names = append(names, name)
		}
	}
	return names
}

func freePort(b *testing.B, on netip.Addr) uint16 {
	b.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(on, 0)))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	return netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
}

func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
