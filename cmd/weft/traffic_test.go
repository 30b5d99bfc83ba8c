package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"weft/cmd/weft/overview"
	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/history"
)

// TestSeenTraffic has real connections go through the rules of a running weft, and
// looks whether status, metrics and page tell where they went. It does so in both
// ways to run it: the applier counts, and needs no watcher for it.
func TestSeenTraffic(t *testing.T) {
	for _, split := range []bool{false, true} {
		t.Run(fmt.Sprintf("split=%v", split), func(t *testing.T) {
			l := labtest.Build(t, lab.Options{Nodes: 1, Pods: 2})
			node := l.Node()
			life := newLife(t, node.Namespace)
			life.write(life.conf, trafficConfig(node, true))
			if split {
				watcher := newLife(t, node.Namespace)
				watcher.conf = life.conf
				watcher.start(nothing, "watch")
				life.start(nothing, "apply", "--follow")
			} else {
				life.start(nothing, "run")
			}
			socket := filepath.Join(life.dir, "weft.sock")
			life.untilCounted(socket)
			const tcp, udp = 400, 60
			ask(t, l, node, "tcp", 30080, tcp)
			ask(t, l, node, "udp", 30053, udp)

			o := lookAt(t, life.dir, socket)
			for end := time.Now().Add(5 * time.Second); o.Traffic.Connections < tcp+udp && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				o = lookAt(t, life.dir, socket) // what came just now may not be counted yet
			}
			web, dns := o.ServicePorts[0], o.ServicePorts[1]
			if dns.ID != "default/dns" {
				web, dns = dns, web
			}
			if web.Connections != tcp || dns.Connections != udp || o.Traffic.Connections != tcp+udp {
				t.Errorf("%d and %d connections, %d in all; want %d and %d", web.Connections, dns.Connections, o.Traffic.Connections, tcp, udp)
			}
			sum := uint64(0)
			for i, want := range []float64{0.75, 0.25} {
				e := web.Endpoints[i]
				if e.Seen == nil || e.Share != want || math.Abs(e.Seen.Asked-want) > 1e-9 || math.Abs(e.Seen.Share-want) > 0.12 {
					t.Errorf("%v: share %v, seen %+v; want %v", e.Address, e.Share, e.Seen, want)
					continue
				}
				sum += e.Seen.Connections
			}
			if sum != tcp {
				t.Errorf("%d connections to endpoints, want %d", sum, tcp)
			}

			text := string(fetch(t, socket, "/metrics"))
			if n := metric(t, text, `weft_node_connections_total{node="n1"}`) + metric(t, text, `weft_node_connections_total{node="n2"}`); n != tcp+udp {
				t.Errorf("the metrics count %v, want %v", n, tcp+udp)
			}
			if n := metric(t, text, `weft_node_asked_connections_total{node="n1"}`); n != 0.75*tcp+0.5*udp {
				t.Errorf("of n1 %v were asked for, want %v", n, 0.75*tcp+0.5*udp)
			}
			page := string(fetch(t, socket, "/port?id=default%2Fweb&protocol=tcp"))
			if want := fmt.Sprintf(`<td class="num">%d</td>`, web.Endpoints[0].Seen.Connections); !strings.Contains(page, want) || !strings.Contains(page, "the 400 new connections") {
				t.Errorf("the page lacks %s", want)
			}
			var b strings.Builder
			if err := o.Print(&b, overview.Form{Only: "tcp/30080"}); err != nil || !strings.Contains(b.String(), fmt.Sprintf("/ 25%%      %d", web.Endpoints[1].Seen.Connections)) {
				t.Errorf("%v\n%s", err, &b)
			}
		})
	}
}

// TestUncountedTraffic is what is shown to who does not want it.
func TestUncountedTraffic(t *testing.T) {
	life := newLife(t, labtest.Scratch(t))
	life.write(life.conf, strings.Replace(configText(1, "traffic: false\n"), "run/", "", -1))
	life.start(nothing, "run")
	socket := filepath.Join(life.dir, "weft.sock")
	for end := time.Now().Add(20 * time.Second); !lookAt(t, life.dir, socket).Healthy() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if o := lookAt(t, life.dir, socket); !o.Healthy() || o.Traffic != nil {
		t.Errorf("healthy %v, traffic %+v", o.Healthy(), o.Traffic)
	}
	if text := string(fetch(t, socket, "/metrics")); strings.Contains(text, "weft_traffic_counted") || !strings.Contains(text, "weft_live 1") {
		t.Error("the metrics tell of connections that nobody counts, or of nothing")
	}
}

func trafficConfig(node *lab.Node, counts bool) string {
	endpoint := func(pod int, name string, weight int) string {
		return fmt.Sprintf("    - {address: %v, port: %d, node: %s, weight: %d}\n", node.Pods[pod].IPv4, labtest.Port, name, weight)
	}
	return fmt.Sprintf(ownFiles+"node: n1\nstate: state.yaml\nlisten: ''\npolicy: static\nslowStart: 0\ntraffic: %v\n"+
		"static:\n  addresses: [%v]\n  services:\n  - name: web\n    nodePort: 30080\n    endpoints:\n%s%s"+
		"  - name: dns\n    protocol: udp\n    nodePort: 30053\n    endpoints:\n%s%s", counts, node.IPv4,
		endpoint(0, "n1", 3), endpoint(1, "n2", 1), endpoint(0, "n1", 1), endpoint(1, "n2", 1))
}

func lookAt(t *testing.T, dir, socket string) *overview.Overview {
	t.Helper()
	return overview.Look(t.Context(), overview.Sources{
		Sockets: []string{socket, filepath.Join(dir, "weft-watch.sock")}, StateFile: filepath.Join(dir, "state.yaml"), History: history.Open("", history.Limits{}),
	})
}

// untilCounted waits until rules are proven and connections are counted.
func (l *life) untilCounted(socket string) {
	l.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if o := lookAt(l.t, l.dir, socket); o.Healthy() && o.Traffic != nil && o.Traffic.Unknown == "" {
			return
		}
	}
	l.t.Fatal("connections are not counted after 30 s")
}

func ask(t *testing.T, l *lab.Lab, node *lab.Node, protocol string, port uint16, n int) {
	t.Helper()
	if _, err := lab.Count(t.Context(), l.Client, protocol, netip.AddrPortFrom(node.IPv4, port), n, 4); err != nil {
		t.Fatal(err)
	}
}

// fetch asks an agent through its socket.
func fetch(t *testing.T, socket, path string) []byte {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	answer, err := client.Get("http://weft" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, answer.Status, err)
	}
	return text
}

// metric is the value of a metric of a scrape.
func metric(t *testing.T, text, name string) float64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("there is no %s", name)
	}
	v, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
