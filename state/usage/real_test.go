package usage

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weft/examples/lab/labtest"
	"weft/state"
)

// machine is a node exporter that shows the CPU of a folder, at an address of the
// loopback.
type machine struct {
	node state.Node
	proc proc
	cmd  *exec.Cmd
	port uint16
}

// run lets the CPUs be busy for a part of the time, as a kernel would count it: 100
// ticks a second for each.
func (m *machine) run(t *testing.T, busy float64) {
	start, done := time.Now(), make(chan struct{})
	tick := func() {
		passed := 100 * time.Since(start).Seconds()
		m.proc.set(t, int(passed*busy), int(passed*(1-busy)))
	}
	tick()
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				tick()
			}
		}
	})
	t.Cleanup(func() { close(done); running.Wait() })
}

// freePort is one that is free at an address of the loopback, as good as can be
// told.
func freePort(t *testing.T, addr netip.Addr) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// start starts a program that ends with the test.
func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	var log strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stderr, cmd.Stdout = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, log.String())
		}
	})
	return cmd
}

func startMachine(t *testing.T, i int, busy float64) *machine {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{127, 9, 1, byte(i + 1)})
	m := &machine{node: state.Node{Name: fmt.Sprintf("node-%d", i), Address: addr}, proc: newProc(t), port: freePort(t, addr)}
	m.run(t, busy)
	m.cmd = start(t, "prometheus-node-exporter", "--collector.disable-defaults", "--collector.cpu", "--path.procfs="+m.proc.dir,
		"--web.listen-address="+netip.AddrPortFrom(addr, m.port).String())
	return m
}

// startPrometheus scrapes the machines every second, each in two jobs, as clusters
// do by mistake.
func startPrometheus(t *testing.T, machines ...*machine) (url string, cmd *exec.Cmd) {
	t.Helper()
	var targets []string
	for _, m := range machines {
		targets = append(targets, fmt.Sprintf("%q", netip.AddrPortFrom(m.node.Address, m.port)))
	}
	job := func(name string) string {
		return fmt.Sprintf("- job_name: %s\n  static_configs: [{targets: [%s]}]\n", name, strings.Join(targets, ", "))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n" + job("node") + job("again")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.9.1.100"), freePort(t, netip.MustParseAddr("127.9.1.100")))
	cmd = start(t, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at.String(), "--log.level=warn")
	return "http://" + at.String(), cmd
}

// eventually asks until the answer is as it should be.
func eventually(t *testing.T, p *Prometheus, what string, holds func(error, []state.Node) bool) []state.Node {
	t.Helper()
	var err error
	var measured []state.Node
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		err = p.ask(t.Context())
		measured = append([]state.Node(nil), p.nodes...)
		p.Measure(measured)
		if holds(err, measured) {
			return measured
		}
	}
	t.Fatalf("%s: not after a minute; last %v, %+v", what, err, measured)
	return nil
}

// The real thing: what node exporters count is what Prometheus says, a node that is
// down is named, and so is whatever befalls Prometheus itself.
func TestRealPrometheus(t *testing.T) {
	labtest.RequireTool(t, "prometheus")
	labtest.RequireTool(t, "prometheus-node-exporter")
	busyOne, idleOne := startMachine(t, 0, 0.75), startMachine(t, 1, 0)
	url, cmd := startPrometheus(t, busyOne, idleOne)
	p := asking(t, Options{URL: url}, 0)
	p.expiry = 10 * time.Second
	p.nodes = []state.Node{busyOne.node, idleOne.node}

	// Counters that this process keeps are a little late now and then.
	is := func(n state.Node, ratio float64) bool {
		return n.CPU != nil && math.Abs(n.CPU.Ratio-ratio) < 0.05 && n.Cores == 2 && time.Since(n.CPU.Measured) <= p.expiry
	}
	eventually(t, p, "75 % and 0 % of 2 cores", func(err error, n []state.Node) bool {
		return err == nil && is(n[0], 0.75) && is(n[1], 0)
	})

	stranger := state.Node{Name: "stranger", Address: netip.MustParseAddr("10.9.9.9")}
	p.nodes = append(p.nodes, stranger)
	if err := p.ask(t.Context()); err == nil || !strings.Contains(err.Error(), "no series for stranger") {
		t.Errorf("error = %v, want one about the stranger", err)
	}
	p.nodes = p.nodes[:2]

	if err := busyOne.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, p, "one is gone, the other is not", func(err error, n []state.Node) bool {
		return err != nil && strings.Contains(err.Error(), "no sample of the last 10s for node-0") && n[0].CPU == nil && is(n[1], 0)
	})

	broken := asking(t, Options{URL: url, Query: "rate("}, 1)
	if err := broken.ask(t.Context()); err == nil || !strings.Contains(err.Error(), "bad_data") {
		t.Errorf("a query that is none: error = %v", err)
	}
	scalar := asking(t, Options{URL: url, Query: "1"}, 1)
	if err := scalar.ask(t.Context()); err == nil || !strings.Contains(err.Error(), "expected type instant vector") {
		t.Errorf("a scalar: error = %v", err)
	}

	empty := asking(t, Options{URL: url, Query: "no_such_metric"}, 2)
	if err := empty.ask(t.Context()); err == nil || !strings.Contains(err.Error(), "no series for node-0, node-1") {
		t.Errorf("an empty answer: error = %v", err)
	}

	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.options.Timeout = 300 * time.Millisecond
	eventually(t, p, "a Prometheus that hangs", func(err error, _ []state.Node) bool {
		return err != nil && strings.Contains(err.Error(), context.DeadlineExceeded.Error())
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, p, "a Prometheus that is down, whose last word is too old", func(err error, n []state.Node) bool {
		return err != nil && strings.Contains(err.Error(), "connection refused") && n[1].CPU == nil
	})
}
