package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/state"
)

// nodeVariable makes the test binary a node: goroutines do not stay in a network
// namespace, processes do.
const nodeVariable = "WEFT_TEST_PROBE_NODE"

// node is what such a process does: probe the far node, and tell what it knows
// whenever that changes.
type node struct {
	Self     string
	Mode     Mode
	Nodes    []state.Node
	Endpoint netip.AddrPort // on the far node
	Interval time.Duration
	Ratio    float64
}

// told is a line of its output.
type told struct {
	Seconds     float64
	Source      string
	Ratio       float64
	Unreachable bool
	Err         string
}

// runNode reports whether this process is a node, after it was one.
func runNode() bool {
	text, ok := os.LookupEnv(nodeVariable)
	if !ok {
		return false
	}
	var n node
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		panic(err)
	}
	m := New(Options{
		Mode: n.Mode, Interval: n.Interval, Timeout: 600 * ms, Port: DefaultPort,
		Usage: func() (*state.CPU, int) { return &state.CPU{Ratio: n.Ratio, Measured: time.Now()}, 2 },
	}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	st := &state.State{Node: n.Self, Nodes: n.Nodes, ServicePorts: []*state.ServicePort{{Protocol: state.TCP, Endpoints: []state.Endpoint{
		{Address: n.Endpoint.Addr(), Port: n.Endpoint.Port(), Node: "far"},
	}}}}
	m.Aim(st)
	go func() { _ = m.Run(context.Background(), func() {}) }()
	for {
		time.Sleep(50 * ms)
		k := m.Measurements()["far"]
		out := told{Unreachable: !k.Unreachable.IsZero(), Ratio: -1}
		if k.Latency != nil {
			out.Seconds, out.Source = k.Latency.Seconds, k.Latency.Source
		}
		if k.CPU != nil {
			out.Ratio = k.CPU.Ratio
		}
		if k.Err != nil {
			out.Err = k.Err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
			return true // the test has ended
		}
	}
}

// start runs a node in a namespace until the test ends, by the command given if there
// is one, and returns its words.
func start(t *testing.T, ns *lab.Namespace, n node, by ...string) *json.Decoder {
	t.Helper()
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	args := append(by, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), nodeVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	return json.NewDecoder(out)
}

// await reads until something holds.
func await(t *testing.T, words *json.Decoder, what string, holds func(told) bool) told {
	t.Helper()
	var last told
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if err := words.Decode(&last); err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if holds(last) {
			return last
		}
	}
	t.Fatalf("no %s after a minute; last was %+v", what, last)
	return last
}

// Real packets over a link that takes its time: the estimate is what the link
// takes, follows it, and a link that is cut is a node that does not answer.
func TestOverALink(t *testing.T) {
	labtest.RequireKernel(t)
	const way = 10 * ms
	for _, mode := range []Mode{ModePeer, ModeTCP, ModeHTTP, ModeICMP} {
		for _, agent := range []bool{true, false} {
			if !agent && mode != ModePeer {
				continue
			}
			t.Run(fmt.Sprintf("%s agent=%v", mode, agent), func(t *testing.T) {
				t.Parallel() // they wait most of the time
				here, there := labtest.Scratch(t), labtest.Scratch(t)
				link, err := lab.Between(here, there, "far0", netip.MustParsePrefix("10.99.0.1/24"), netip.MustParsePrefix("10.99.0.2/24"), way)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = link.Close() })
				server, err := lab.Serve(there, netip.MustParseAddrPort("10.99.0.2:80"), "far")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = server.Close() })
				n := node{
					Self: "near", Mode: mode, Interval: 500 * ms, Ratio: 0.25, Endpoint: netip.MustParseAddrPort("10.99.0.2:80"),
					Nodes: []state.Node{{Name: "near", Address: netip.MustParseAddr("10.99.0.1")}, {Name: "far", Address: netip.MustParseAddr("10.99.0.2")}},
				}
				words := start(t, here, n)
				want := string(mode)
				if agent {
					n.Self, n.Ratio = "far", 0.75
					start(t, there, n)
				} else {
					want = "tcp"
				}
				first := await(t, words, "latency by "+want, func(w told) bool { return w.Source == want })
				ways := 2 // HTTP: to connect, and to ask
				if mode == ModeHTTP {
					ways = 4
				}
				if least := time.Duration(ways) * way; first.Seconds < least.Seconds() {
					t.Errorf("latency = %v s, the link takes %v", first.Seconds, least)
				}
				if mode == ModePeer && agent {
					await(t, words, "the CPU use of the other node", func(w told) bool { return w.Ratio == 0.75 })
				}
				if mode != ModeHTTP { // which follows slowly
					link.SetDelay(12 * way)
					await(t, words, "a latency that has jumped", func(w told) bool { return w.Seconds >= 20*way.Seconds() })
				}
				link.Cut(true)
				await(t, words, "an unreachable node", func(w told) bool { return w.Unreachable && w.Source == "" && w.Err != "" })
				link.Cut(false)
				await(t, words, "a latency again", func(w told) bool { return !w.Unreachable && w.Seconds >= 2*way.Seconds() })
			})
		}
	}
}

// Without the right to raw sockets, pings need the group's leave.
func TestPingWithoutRights(t *testing.T) {
	labtest.RequireKernel(t)
	for name, tt := range map[string]struct {
		groups string
		holds  func(told) bool
	}{
		"the group may":     {"0 0", func(w told) bool { return w.Source == "icmp" }},
		"the group may not": {"1 0", func(w told) bool { return strings.Contains(w.Err, "net.ipv4.ping_group_range") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := labtest.Scratch(t)
			if _, err := ns.Run("sysctl", "-w", "net.ipv4.ping_group_range="+tt.groups); err != nil {
				t.Fatal(err)
			}
			if _, err := ns.Run("ip", "link", "set", "lo", "up"); err != nil {
				t.Fatal(err)
			}
			words := start(t, ns, node{
				Self: "near", Mode: ModeICMP, Interval: 500 * ms, Endpoint: netip.MustParseAddrPort("127.0.0.2:80"),
				Nodes: []state.Node{{Name: "near", Address: netip.MustParseAddr("127.0.0.1")}, {Name: "far", Address: netip.MustParseAddr("127.0.0.2")}},
			}, "setpriv", "--bounding-set=-net_raw")
			await(t, words, name, tt.holds)
		})
	}
}
