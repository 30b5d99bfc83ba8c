package nft_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/examples/lab/labtest"
	"weft/render/nft"
	"weft/render/verify/nfnl"
)

// nodePorts is how many a cluster can have at most: 30000 to 32767.
const nodePorts = 2768

// table is a table as kube-proxy has it, or as weft with maps of ranges.
func table(name string, modulus int, slot func(k int) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table ip %s\ndelete table ip %s\ntable ip %s {\n", name, name, name)
	b.WriteString("\tset nodeport-ips { type ipv4_addr; flags timeout; elements = { 10.34.4.141 timeout 60s } }\n")
	for i := range nodePorts {
		var slots []string
		for k := range 10 {
			slots = append(slots, slot(k)+fmt.Sprintf(" : 10.%d.%d.%d . 8080", 42+k, i/250, 1+i%250))
		}
		fmt.Fprintf(&b, "\tchain svc-%d {\n\t\tip saddr != 10.42.0.0/16 meta mark set 0x4000\n", i)
		fmt.Fprintf(&b, "\t\tmeta l4proto tcp dnat ip to numgen random mod %d map { %s }\n\t}\n", modulus, strings.Join(slots, ", "))
	}
	b.WriteString("\tmap services {\n\t\ttype inet_proto . inet_service : verdict\n\t\telements = {\n")
	for i := range nodePorts {
		fmt.Fprintf(&b, "\t\t\ttcp . %d comment \"ns/service-%d\" : goto svc-%d,\n", 30000+i, i, i)
	}
	b.WriteString("\t\t}\n\t}\n}\n")
	return b.String()
}

func exact(k int) string  { return strconv.Itoa(k) }
func ranges(k int) string { return fmt.Sprintf("%d-%d", 10*k, 10*k+9) }

// BenchmarkOtherTable is what it costs to hear a table of kube-proxy's size
// loaded again and again: cpu-ms is this process's time for each load.
func BenchmarkOtherTable(b *testing.B) {
	ns := labtest.Scratch(b)
	file := filepath.Join(b.TempDir(), "table.nft")
	if err := os.WriteFile(file, []byte(table("kube-proxy", 10, exact)), 0o600); err != nil {
		b.Fatal(err)
	}
	var s *nft.Subscription
	err := ns.Do(func() (err error) {
		s, err = nft.Subscribe("weft", nil)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	var events atomic.Int64
	go func() { done <- s.Run(ctx, func(nft.Event) { events.Add(1) }) }()
	start := cpu(b)
	for b.Loop() {
		if _, err := ns.Run("nft", "-f", file); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(events.Load()), "events")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// cpu is the time that this process has spent, without its children.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBeat renews one address beside thousands of maps of ranges.
func BenchmarkBeat(b *testing.B) {
	ns := labtest.Scratch(b)
	if err := ns.Load(table("weft", 100, ranges)); err != nil {
		b.Fatal(err)
	}
	address := netip.MustParseAddr("10.34.4.141")
	b.Run("netlink", func(b *testing.B) {
		h := heart(b, ns, nil)
		for b.Loop() {
			if err := h.Beat(b.Context(), nfnl.IPv4, "weft", "nodeport-ips", []netip.Addr{address}, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("nft", func(b *testing.B) {
		element := "element ip weft nodeport-ips { 10.34.4.141 timeout 60s }\n"
		for b.Loop() {
			if err := ns.Load("add " + element + "delete " + element + "add " + element); err != nil {
				b.Fatal(err)
			}
		}
	})
}
