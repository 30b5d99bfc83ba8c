package apply_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/history"
	"weft/render/nft"
	"weft/templates"
)

// counting counts, in the kernel, the packets that weft's rules leave alone and
// all packets. Each packet is dropped before conntrack takes its flow in, so that
// every one is the first of a connection and is looked at by the nat chains.
const counting = `table ip counting {
	counter missed { }
	counter total { }
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr 192.0.2.1 udp dport 30000 counter name missed
	}
	chain postrouting {
		type filter hook postrouting priority 0; policy accept;
		meta l4proto udp counter name total drop
	}
}
`

// miss sends first packets of connections to a NodePort without a pause while its
// shares and endpoints, and other ServicePorts, change as fast as weft can: it
// returns how many packets nobody of weft's served.
func miss(tb testing.TB, set string, packets, largest int) (missed, all, updates int) {
	tb.Helper()
	ns := labtest.Scratch(tb)
	for _, a := range []string{"192.0.2.1", "198.51.100.1", "198.51.100.2"} {
		if _, err := ns.Run("ip", "addr", "add", a+"/32", "dev", "lo"); err != nil {
			tb.Fatal(err)
		}
	}
	if err := ns.Load(counting); err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "state.yaml")
	write := func(i int) {
		if err := os.WriteFile(file, []byte(changing(i)), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	write(0)
	proven := make(chan history.Entry, 1)
	loop := &apply.Loop{
		StateFile: file, Log: slog.New(slog.DiscardHandler), Runner: nft.Runner{Largest: largest},
		Keep: func(e history.Entry) { proven <- e },
		Templates: func() (*render.Set, render.Vars, error) {
			loaded, err := render.Load(set)
			return loaded, render.DefaultVars(), err
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group errgroup.Group
	changes := make(chan apply.Change)
	group.Go(func() error { return ns.Do(func() error { return loop.Run(ctx, changes) }) })
	if e := <-proven; e.Result != history.Proven {
		tb.Fatal(e.Message)
	}
	group.Go(func() error { return send(ctx, ns) })
	for ; all < packets; updates++ {
		write(updates + 1)
		changes <- apply.StateChanged
		if e := <-proven; e.Result != history.Proven {
			tb.Fatal(e.Message)
		}
		if updates%10 == 0 {
			_, all = counted(tb, ns)
		}
	}
	cancel()
	if err := group.Wait(); err != nil {
		tb.Fatal(err)
	}
	missed, all = counted(tb, ns)
	return missed, all, updates
}

// changing is the i-th state: one ServicePort is asked, others come and go.
func changing(i int) string {
	text := fmt.Sprintf(`apiVersion: weft/v1
kind: State
node: n1
generation: %d
addresses: [192.0.2.1]
servicePorts: %d
nodes: []
`, i+1, 2+i%2)
	shares := [][2]string{{"0.5", "0.5"}, {"0.7", "0.3"}, {"0.25", "0.75"}}[i%3]
	for k := range 2 + i%2 {
		text += fmt.Sprintf(`---
kind: ServicePort
namespace: ns
name: sp-%d
port: ""
protocol: udp
nodePort: %d
endpoints:
- {address: 198.51.100.1, port: %d, node: n1, share: %s}
- {address: 198.51.100.2, port: 80, node: n2, share: %s}
`, k, 30000+k, 80+i%5, shares[0], shares[1])
	}
	return text
}

// send sends until the context ends. That packets are dropped is no error.
func send(ctx context.Context, ns *lab.Namespace) error {
	var conn net.Conn
	err := ns.Do(func() (err error) {
		conn, err = net.Dial("udp", "192.0.2.1:30000")
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	for ctx.Err() == nil {
		_, _ = conn.Write([]byte("x")) // EPERM: it was dropped
	}
	return nil
}

func counted(tb testing.TB, ns *lab.Namespace) (missed, all int) {
	tb.Helper()
	out, err := ns.Run("nft", "-j", "list", "counters", "table", "ip", "counting")
	if err != nil {
		tb.Fatal(err)
	}
	var listing struct {
		NFTables []struct {
			Counter *struct {
				Name    string
				Packets int
			}
		}
	}
	if err := json.Unmarshal(out, &listing); err != nil {
		tb.Fatal(err)
	}
	found := map[string]int{}
	for _, o := range listing.NFTables {
		if o.Counter != nil {
			found[o.Counter.Name] = o.Counter.Packets
		}
	}
	return found["missed"], found["total"]
}

// TestNoPacketMisses: with cascade, no packet of many misses during updates, nor
// while each of them comes in several transactions.
func TestNoPacketMisses(t *testing.T) {
	for _, c := range []struct {
		name    string
		largest int
	}{{"in one transaction", 0}, {"in pieces", 100}} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			missed, all, updates := miss(t, templates.Cascade, 100_000, c.largest)
			t.Logf("%d of %d packets missed in %d updates, %s", missed, all, updates, time.Since(start))
			if missed > 0 || updates < 10 {
				t.Errorf("%d of %d packets missed in %d updates, want none", missed, all, updates)
			}
		})
	}
}

// BenchmarkMisses counts the packets of a million that miss during updates without
// a pause.
func BenchmarkMisses(b *testing.B) {
	for _, set := range templates.Names() {
		b.Run(set, func(b *testing.B) {
			var missed, all, updates int
			for b.Loop() {
				m, a, u := miss(b, set, 1_000_000, 0)
				missed, all, updates = missed+m, all+a, updates+u
			}
			b.ReportMetric(float64(missed)*1e6/float64(all), "misses/million")
			b.ReportMetric(float64(updates)/float64(b.N), "updates/op")
			b.ReportMetric(float64(all)/float64(b.N), "packets/op")
		})
	}
}
