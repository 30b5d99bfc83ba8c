package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"weft/cmd/weft/config"
	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/verify"
	"weft/state"
)

const testPort = 30080

// ownFiles has an agent keep what it writes beside its configuration, where no other one is.
const ownFiles = "history: history\nlock: lock\nsocket: weft.sock\n"

// life is `weft run` in a node's namespace, with a configuration to edit.
type life struct {
	t    *testing.T
	ns   *lab.Namespace
	dir  string
	conf string // the path of the configuration
	log  *os.File
	cmd  *exec.Cmd
}

func newLife(t *testing.T, ns *lab.Namespace) *life {
	t.Helper()
	dir := t.TempDir()
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, ns: ns, dir: dir, conf: filepath.Join(dir, "weft.yaml"), log: log}
	t.Cleanup(func() {
		l.kill()
		if t.Failed() {
			log := l.logged()
			t.Logf("weft's log ends with:\n%s", log[max(0, len(log)-4000):])
		}
		_ = log.Close()
	})
	return l
}

// write puts a new file in the place of the old one.
func (l *life) write(path, text string) {
	l.t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		l.t.Fatal(err)
	}
}

// start starts weft; prepare runs before on the same thread.
func (l *life) start(prepare func() error, args ...string) {
	l.t.Helper()
	l.cmd = exec.Command("weft", append(args, "--config", l.conf)...)
	l.cmd.Stdout, l.cmd.Stderr = l.log, l.log
	err := l.ns.Do(func() error { return errors.Join(prepare(), l.cmd.Start()) })
	if err != nil {
		l.t.Fatal(err)
	}
}

func nothing() error { return nil }

// kill sends SIGKILL and waits for the end.
func (l *life) kill() {
	if l.cmd != nil {
		_ = l.cmd.Process.Kill() // an error means that it ended
		_ = l.cmd.Wait()         // killed: always an error
		l.cmd = nil
	}
}

// logged is what weft has written so far.
func (l *life) logged() string {
	l.t.Helper()
	text, err := os.ReadFile(l.log.Name())
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// wanted is the state that weft makes of the configuration.
func (l *life) wanted() *state.State {
	l.t.Helper()
	c, err := config.Load(l.conf, func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	st, err := gather(c)
	if err != nil {
		l.t.Fatal(err)
	}
	return st
}

// ruleset is what the kernel holds in the table of weft; nil for no table.
func (l *life) ruleset() *verify.Ruleset {
	l.t.Helper()
	var rs *verify.Ruleset
	err := l.ns.Do(func() (err error) {
		rs, err = apply.ReadBack(context.Background(), "weft")
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return rs
}

// differs says how the kernel differs from the state; nil if not at all.
func (l *life) differs(st *state.State) error {
	if report := verify.Check(l.ruleset(), st, apply.Want(render.DefaultVars())); !report.OK() {
		return errors.New(report.String())
	}
	return nil
}

// await waits until the kernel does what the state asks.
func (l *life) await(st *state.State) {
	l.t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = l.differs(st); err == nil {
			return
		}
	}
	l.t.Fatalf("the kernel does not come to what is wanted: %v", err)
}

// knockConfig has a NodePort on TCP and one on UDP, served by the pods with these
// weights.
func knockConfig(dir string, node *lab.Node, pods []*lab.Host, weights []int, heartbeat string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ownFiles+"node: node1\nstate: %s/run/state.yaml\ntemplates: cascade\nvars: {heartbeat: %s}\nstatic:\n  addresses: [%v, %q]\n  services:\n",
		dir, heartbeat, node.IPv4, node.IPv6.String())
	for _, protocol := range []string{"tcp", "udp"} {
		fmt.Fprintf(&b, "  - name: web\n    port: %s\n    protocol: %s\n    nodePort: %d\n    endpoints:\n", protocol, protocol, testPort)
		for i, p := range pods {
			for _, six := range []bool{false, true} {
				fmt.Fprintf(&b, "    - {address: %q, port: %d, node: %s, weight: %d}\n", p.Addr(six).String(), labtest.Port, p.Host[:5], weights[i])
			}
		}
	}
	return b.String()
}

// clients open connections to the node without a pause until told to stop.
type clients struct {
	group          errgroup.Group
	cancel         func()
	mu             sync.Mutex
	answered, lost int
	reasons        []string
}

func knock(c *lab.Namespace, node *lab.Node) *clients {
	ctx, cancel := context.WithCancel(context.Background())
	k := &clients{cancel: cancel}
	for _, network := range []string{"tcp", "udp"} {
		for _, six := range []bool{false, true} {
			k.group.Go(func() error {
				return lab.Watch(ctx, c, network, netip.AddrPortFrom(node.Addr(six), testPort), 1, 3*time.Millisecond, k.note)
			})
		}
	}
	return k
}

func (k *clients) note(a lab.Answer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a.Err == nil {
		k.answered++
		return
	}
	k.lost++
	k.reasons = append(k.reasons, fmt.Sprintf("%s: %v", a.Started.Format("05.000"), a.Err))
}

// stop fails the test for every connection that was lost.
func (k *clients) stop(t *testing.T) {
	t.Helper()
	k.cancel()
	if err := k.group.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d connections, %d lost", k.answered+k.lost, k.lost)
	if k.lost > 0 || k.answered < 500 {
		t.Errorf("%d of %d connections lost:\n%s", k.lost, k.answered+k.lost, strings.Join(k.reasons, "\n"))
	}
}

// TestKillLoop kills weft at random moments while its configuration changes and
// connections come: none is lost, and the kernel always holds one of the
// rulesets that some configuration asked for, whole. At last it dies for good,
// and what stands behind it takes over.
func TestKillLoop(t *testing.T) {
	network := labtest.Build(t, lab.Options{Nodes: 2, Pods: 2})
	node, pods := network.Node(), network.Pods()
	var backends []netip.AddrPort
	for _, p := range pods {
		backends = append(backends, netip.AddrPortFrom(p.IPv4, labtest.Port), netip.AddrPortFrom(p.IPv6, labtest.Port))
	}
	if err := lab.Behind(node.Namespace, []netip.Addr{node.IPv4, node.IPv6}, testPort, backends); err != nil {
		t.Fatal(err)
	}
	l := newLife(t, node.Namespace)
	random := rand.New(rand.NewPCG(1, 2)) // where it strikes also depends on the machine
	var wanted []*state.State
	edit := func(heartbeat string) {
		weights := make([]int, len(pods))
		for i := range weights {
			weights[i] = random.IntN(5)
		}
		weights[random.IntN(len(weights))] = 1
		l.write(l.conf, knockConfig(l.dir, node, pods, weights, heartbeat))
		wanted = append(wanted, l.wanted())
	}
	edit("30s")
	l.start(nothing, "run")
	l.await(wanted[0])
	l.kill()
	knocking := knock(network.Client, node)
	kills := 0
	for end := time.Now().Add(9 * time.Second); time.Now().Before(end); kills++ {
		l.start(nothing, "run")
		for range random.IntN(6) {
			time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
			edit("30s")
		}
		time.Sleep(time.Duration(random.IntN(80)) * time.Millisecond)
		l.kill()
		if !oneOf(l.ruleset(), wanted) {
			t.Errorf("kill %d: the kernel holds no ruleset that was ever asked for: %v", kills, l.differs(wanted[len(wanted)-1]))
		}
	}
	t.Logf("%d kills, %d edits", kills, len(wanted))
	l.start(nothing, "run")
	l.await(wanted[len(wanted)-1])
	edit("1s")
	l.await(wanted[len(wanted)-1])
	before, err := lab.Taken(node.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	l.kill()
	time.Sleep(1500 * time.Millisecond)
	knocking.stop(t)
	if after, err := lab.Taken(node.Namespace); err != nil || after == before {
		t.Errorf("nothing fell through when weft was dead: %d connections, %v", after-before, err)
	}
}

func oneOf(rs *verify.Ruleset, wanted []*state.State) bool {
	for i := len(wanted) - 1; i >= 0; i-- {
		if verify.Check(rs, wanted[i], apply.Want(render.DefaultVars())).OK() {
			return true
		}
	}
	return false
}

func stateText(generation, tenths int) string {
	return fmt.Sprintf(`apiVersion: weft/v1
kind: State
node: n1
generation: %d
addresses: [192.0.2.1]
servicePorts: 1
endpoints: 2
nodes: []
---
kind: ServicePort
namespace: ns
name: web
port: ""
protocol: tcp
nodePort: 30000
endpoints:
- {address: 198.51.100.1, port: 80, node: n1, share: 0.%d}
- {address: 198.51.100.2, port: 80, node: n2, share: 0.%d}
`, generation, tenths, 10-tenths)
}

func decoded(t *testing.T, text string) *state.State {
	t.Helper()
	st, err := state.Decode("state.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestBurst writes thousands of states as fast as it can: they become few
// transactions, the last one wins, and memory does not grow.
func TestBurst(t *testing.T) {
	l := newLife(t, labtest.Scratch(t))
	path := filepath.Join(l.dir, "state.yaml")
	l.write(l.conf, ownFiles+"node: n1\nstate: "+path+"\n")
	l.write(path, stateText(1, 5))
	l.start(nothing, "apply", "--follow")
	l.await(decoded(t, stateText(1, 5)))
	burst := func(n int) {
		for i := range n {
			l.write(path, stateText(i+2, 1+i%8))
		}
		l.write(path, stateText(n, 9))
		l.await(decoded(t, stateText(n, 9)))
	}
	burst(1000)
	before := rss(t, l.cmd.Process.Pid)
	burst(4000)
	after := rss(t, l.cmd.Process.Pid)
	transactions := 0
	l.stop()
	transactions = strings.Count(l.logged(), "rules proven")
	t.Logf("5000 states, %d transactions, memory %d kB, then %d kB", transactions, before, after)
	if transactions < 3 || transactions > 1000 {
		t.Errorf("%d transactions for 5000 states, want few", transactions)
	}
	if after > before+16<<10 {
		t.Errorf("memory grew from %d kB to %d kB", before, after)
	}
}

// stop ends weft politely, so that its log is whole.
func (l *life) stop() {
	l.t.Helper()
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	if err := l.cmd.Wait(); err != nil {
		l.t.Errorf("weft: %v", err)
	}
	l.cmd = nil
}

// rss is the memory that a process has, in kB.
func rss(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest + " ?")[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReplacedMidRead has writers that know nothing of atomic files: the state is
// cut off, written in pieces, and replaced, again and again. The kernel never
// holds anything but one of the two states.
func TestReplacedMidRead(t *testing.T) {
	l := newLife(t, labtest.Scratch(t))
	path := filepath.Join(l.dir, "state.yaml")
	l.write(l.conf, ownFiles+"node: n1\nstate: "+path+"\n")
	texts := []string{stateText(1, 3), stateText(2, 6)}
	wanted := []*state.State{decoded(t, texts[0]), decoded(t, texts[1])}
	l.write(path, texts[0])
	l.start(nothing, "apply", "--follow")
	l.await(wanted[0])
	random := rand.New(rand.NewPCG(3, 4))
	for end, i := time.Now().Add(2*time.Second), 0; time.Now().Before(end); i++ {
		text := texts[i%2]
		if i%5 == 0 {
			l.write(path, text)
		} else {
			inPieces(t, path, text, random)
		}
		if i%20 == 0 && !oneOf(l.ruleset(), wanted) {
			t.Fatalf("the kernel holds neither state: %v", l.differs(wanted[i%2]))
		}
	}
	l.write(path, texts[1])
	l.await(wanted[1])
}

func inPieces(t *testing.T, path, text string, random *rand.Rand) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for text != "" {
		n := min(len(text), 1+random.IntN(200))
		if _, err := f.WriteString(text[:n]); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
		time.Sleep(time.Duration(random.IntN(500)) * time.Microsecond)
	}
}

// TestDiskFull fills the file system of the state file under a running weft, and
// then makes it read-only: the old state stays whole and in force, it is said,
// and weft takes the newest configuration once there is room.
func TestDiskFull(t *testing.T) {
	network := labtest.Build(t, lab.Options{Nodes: 1, Pods: 2})
	node, pods := network.Node(), network.Pods()
	l := newLife(t, node.Namespace)
	small := filepath.Join(l.dir, "run")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	edit := func(a, b int) *state.State {
		l.write(l.conf, knockConfig(l.dir, node, pods, []int{a, b}, "30s"))
		return l.wanted()
	}
	first := edit(1, 1)
	l.start(func() error { return smallDisk(small) }, "run")
	l.await(first)
	seen := fmt.Sprintf("/proc/%d/root%s", l.cmd.Process.Pid, small) // as weft sees it
	stays := func(st *state.State, why string) {
		t.Helper()
		l.awaitLog(why)
		if err := l.differs(st); err != nil {
			t.Errorf("%s, and the rules changed: %v", why, err)
		}
		data, err := os.ReadFile(filepath.Join(seen, "state.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		decoded(t, string(data))
	}

	full := filepath.Join(seen, "full")
	if err := os.WriteFile(full, make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the file system is not full: %v", err)
	}
	edit(1, 3)
	stays(first, "no space left on device")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	second := edit(1, 4)
	l.await(second)

	remount := func(option string) {
		t.Helper()
		out, err := exec.Command("nsenter", "--target", strconv.Itoa(l.cmd.Process.Pid), "--mount", "mount", "-o", "remount,"+option, small).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	remount("ro")
	edit(1, 5)
	stays(second, "read-only file system")
	remount("rw")
	l.await(edit(1, 7))
}

// smallDisk mounts a file system of 64 kB for the calling thread and the
// processes that it starts; nobody else sees it.
func smallDisk(path string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return unix.Mount("tmpfs", path, "tmpfs", 0, "size=64k")
}

// awaitLog waits until weft has said something.
func (l *life) awaitLog(what string) {
	l.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(l.logged(), what); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("weft did not say %q", what)
		}
	}
}

// TestNftDiesWithWeft kills weft while nft hangs: a transaction of the dead must
// not be loaded over one of its successor.
func TestNftDiesWithWeft(t *testing.T) {
	l := newLife(t, labtest.Scratch(t))
	path, script, started := filepath.Join(l.dir, "state.yaml"), filepath.Join(l.dir, "nft"), filepath.Join(l.dir, "pid")
	l.write(script, "#!/bin/sh\necho $$ >"+started+".new\n/bin/mv "+started+".new "+started+"\nexec /bin/sleep 60\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	l.write(path, stateText(1, 5))
	l.write(l.conf, ownFiles+"node: n1\nstate: "+path+"\nnft: "+script+"\n")
	l.start(nothing, "apply", "--follow")
	var pid string
	for deadline := time.Now().Add(10 * time.Second); pid == ""; time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(started) // it comes in a moment
		if pid = strings.TrimSpace(string(text)); time.Now().After(deadline) {
			t.Fatal("nft was not started")
		}
	}
	l.kill()
	for deadline := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			if n, err := strconv.Atoi(pid); err == nil {
				_ = syscall.Kill(n, syscall.SIGKILL) // so that it does not outlive the test, too
			}
			t.Fatalf("nft, process %s, outlived weft", pid)
		}
	}
}

// alive says whether a process runs; one that waits to be reaped does not.
func alive(pid string) bool {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}
