package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/cluster"
	"weft/examples/lab/labtest"
)

// stage is a cluster in which scripts play, one after the other.
type stage struct {
	*cluster.Cluster
	weft string
	// kubeconfig is that of the manifests' ServiceAccount: weft has the rights
	// that they give, and none besides.
	kubeconfig string
}

func newStage(t *testing.T, opts cluster.Options) *stage {
	t.Helper()
	s := &stage{Cluster: labtest.StartCluster(t, opts), weft: buildWeft(t)}
	apply(t, s.Cluster, filepath.Join(manifests, "base"))
	token, err := s.Token(t.Context(), "weft", "weft")
	if err != nil {
		t.Fatal(err)
	}
	if s.kubeconfig, err = s.Kubeconfig("weft", token); err != nil {
		t.Fatal(err)
	}
	return s
}

// noneDenied wants the API server to have allowed all that weft asked for. One
// that has just started knows no roles for a moment and denies everything, so what
// it would allow by now is no right that is missing.
func (s *stage) noneDenied(t *testing.T) {
	t.Helper()
	uses, err := s.Used("weft", "weft")
	if err != nil || len(uses) == 0 {
		t.Errorf("weft asked for %v: %v", uses, err)
	}
	for _, u := range uses {
		if u.Denied && !s.allows(t, u) {
			t.Errorf("the API server denied weft %+v", u)
		}
	}
}

// allows asks the API server for a right of weft's ServiceAccount.
func (s *stage) allows(t *testing.T, u cluster.Use) bool {
	t.Helper()
	args := []string{"auth", "can-i", u.Verb, strings.TrimSuffix(u.Resource+"."+u.Group, "."), "--as=system:serviceaccount:weft:weft"}
	if u.Namespace == "" {
		args = append(args, "--all-namespaces")
	} else {
		args = append(args, "--namespace="+u.Namespace)
	}
	_, err := s.Kubectl(t.Context(), nil, args...) // which fails where the answer is no
	return err == nil
}

// patience is how long a script waits for what should take a second at most.
const patience = time.Minute

// commands are what a script can do besides testscript's own commands.
//
//	kubectl ARG...           kubectl with all rights
//	on HOST CMD...           runs a command on a machine or pod: client, control, node1, node1-a ...
//	start NAME CMD...        starts a command on node1 with the rights of weft's ServiceAccount; NAME.err gets
//	                         what it says on standard error
//	signal NAME SIGNAL...    sends signals to it
//	finish NAME CODE         waits for its end and compares the exit code
//	until REGEXP CMD...      runs a command on node1 until its output matches, and gives up after a minute
//	never REGEXP CMD...      runs a command on node1 for two seconds, in which its output must not match
//	said NAME REGEXP COUNT   compares how many lines of NAME.err match
//	ports FILE               waits for the ServicePorts of FILE in state.yaml and in the kernel
//	token NS NAME FILE       writes a kubeconfig with a token of a ServiceAccount
//	proxy MODE|stop          runs kube-proxy on node1
//	split HOST NET TO COUNT POD=SHARE...
//	                         opens connections from a host and compares where they went with the shares
//	refused HOST NET TO      wants a connection to be refused at once
//	serve HOST:PORT          answers on a machine with its name, as a pod of its network does
//	apiserver stop|start|SIGNAL
//	ago NAME DURATION        sets a variable to the time that it was so long ago, as Kubernetes writes it
//	far DELAY|cut            puts so much time, or nothing that passes, between node1 and the API server
//
// The condition [watchlist] holds where the API server has it.
//
// TO is HOST:PORT, with the IPv6 address where NET is tcp6 or udp6.
func (s *stage) commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"kubectl": s.kubectl, "on": s.on, "start": s.start, "signal": s.signal, "finish": s.finish, "until": s.until,
		"never": s.never, "said": said, "proxy": s.proxy, "split": s.split, "refused": s.refused, "apiserver": s.apiserver,
		"ports": s.ports, "token": s.token, "serve": s.serve, "far": s.far, "ago": ago,
	}
}

// setUp gives a script a cluster without Services and an environment of its own.
func (s *stage) setUp(env *testscript.Env) error {
	t := env.T().(serial)
	env.Values["processes"], env.Values["context"], env.Values["close"] = map[string]*cluster.Process{}, t.Context(), &closers{}
	env.Setenv("PATH", filepath.Dir(s.weft)+":"+env.Getenv("PATH")+":/usr/sbin:/sbin")
	env.Setenv("KUBECONFIG", filepath.Join(s.Dir, cluster.Admin.Name+".kubeconfig"))
	env.Defer(func() {
		for _, p := range env.Values["processes"].(map[string]*cluster.Process) {
			p.Stop()
		}
		if err := env.Values["close"].(*closers).Close(); err != nil {
			t.Error(err)
		}
		if err := s.Reset(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return nil
}

func ctx(ts *testscript.TestScript) context.Context {
	return ts.Value("context").(context.Context)
}

// command is a command of a script, with the script's environment.
func command(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	path := name
	if !strings.Contains(name, "/") {
		for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
			if found := filepath.Join(dir, name); executable(found) {
				path = found
				break
			}
		}
	}
	cmd := exec.Command(ts.MkAbs(path), args...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + cmd.Dir, "KUBECONFIG=" + ts.Getenv("KUBECONFIG")}
	return cmd
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// run runs a command in a namespace; its output is the script's.
func run(ts *testscript.TestScript, ns *lab.Namespace, neg bool, cmd *exec.Cmd) {
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if err := ns.Do(cmd.Run); (err != nil) != neg {
		ts.Fatalf("%v: %v", cmd.Args, err)
	}
}

func (s *stage) kubectl(ts *testscript.TestScript, neg bool, args []string) {
	run(ts, s.Control.Namespace, neg, command(ts, s.KubectlPath(), args...))
}

func (s *stage) on(ts *testscript.TestScript, neg bool, args []string) {
	run(ts, s.host(ts, args[0]).Namespace, neg, command(ts, args[1], args[2:]...))
}

// host is a machine or pod by its name.
func (s *stage) host(ts *testscript.TestScript, name string) *lab.Host {
	hosts := append([]*lab.Host{s.Control}, s.Pods()...)
	for _, n := range s.Nodes {
		hosts = append(hosts, &n.Host)
	}
	for _, h := range hosts {
		if h.Host == name {
			return h
		}
	}
	if name != "client" {
		ts.Fatalf("no machine or pod is called %s", name)
	}
	return &lab.Host{Namespace: s.Client, Host: name}
}

func (s *stage) start(ts *testscript.TestScript, _ bool, args []string) {
	cmd := command(ts, args[1], args[2:]...)
	cmd.Env = append(cmd.Env, "KUBECONFIG="+s.kubeconfig)
	said, err := os.Create(ts.MkAbs(args[0] + ".err"))
	ts.Check(err)
	defer said.Close()
	cmd.Stderr = said
	p, err := s.Launch(s.Node().Namespace, args[0], cmd)
	ts.Check(err)
	processes(ts)[args[0]] = p
}

func processes(ts *testscript.TestScript) map[string]*cluster.Process {
	return ts.Value("processes").(map[string]*cluster.Process)
}

func process(ts *testscript.TestScript, name string) *cluster.Process {
	p := processes(ts)[name]
	if p == nil {
		ts.Fatalf("no process %s was started", name)
	}
	return p
}

func (s *stage) signal(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args[1:] {
		ts.Check(process(ts, args[0]).Signal(unix.SignalNum(name)))
	}
}

func (s *stage) finish(ts *testscript.TestScript, _ bool, args []string) {
	p := process(ts, args[0])
	select {
	case <-p.Ended():
	case <-time.After(patience):
		ts.Fatalf("%s does not end:\n%s", args[0], ts.ReadFile(args[0]+".err"))
	}
	if code := strconv.Itoa(p.ExitCode()); code != args[1] {
		ts.Fatalf("%s: exit code %s, want %s:\n%s", args[0], code, args[1], ts.ReadFile(args[0]+".err"))
	}
}

func ago(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[1])
	ts.Check(err)
	ts.Setenv(args[0], time.Now().Add(-d).UTC().Format(time.RFC3339Nano))
}

// until looks at standard output and standard error alike.
func (s *stage) until(ts *testscript.TestScript, _ bool, args []string) {
	if out, ok := s.look(ts, args, patience); !ok {
		ts.Fatalf("%v does not get to say %q:\n%s", args[1:], args[0], out)
	}
}

func (s *stage) never(ts *testscript.TestScript, _ bool, args []string) {
	if out, ok := s.look(ts, args, 2*time.Second); ok {
		ts.Fatalf("%v says %q:\n%s", args[1:], args[0], out)
	}
}

// look runs a command until its output matches args[0], or for so long.
func (s *stage) look(ts *testscript.TestScript, args []string, within time.Duration) (string, bool) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out []byte
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var said bytes.Buffer
		cmd := command(ts, args[1], args[2:]...)
		cmd.Stdout, cmd.Stderr = &said, &said
		_ = s.Node().Do(cmd.Run) // what it says counts
		if out = said.Bytes(); want.Match(out) {
			return string(out), true
		}
	}
	return string(out), false
}

func said(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	text := ts.ReadFile(args[0] + ".err")
	if got := len(want.FindAllString(text, -1)); strconv.Itoa(got) != args[2] {
		ts.Fatalf("%s said %q %d times, want %s:\n%s", args[0], args[1], got, args[2], text)
	}
}

// proxy runs kube-proxy in the script's name, so that it ends with it.
func (s *stage) proxy(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "stop" {
		process(ts, "kube-proxy").Stop()
		return
	}
	p, err := s.StartKubeProxy(ctx(ts), s.Node(), cluster.ProxyOptions{Mode: cluster.ProxyMode(args[0])})
	ts.Check(err)
	processes(ts)["kube-proxy"] = p
}

// token lets a script be somebody else.
func (s *stage) token(ts *testscript.TestScript, _ bool, args []string) {
	token, err := s.Token(ctx(ts), args[0], args[1])
	ts.Check(err)
	path, err := s.Kubeconfig(args[1], token)
	ts.Check(err)
	text, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), text, 0o600))
}

// split compares where connections went with the shares.
func (s *stage) split(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[3])
	ts.Check(err)
	want := map[string]float64{}
	for _, arg := range args[4:] {
		name, share, _ := strings.Cut(arg, "=")
		if want[name], err = strconv.ParseFloat(share, 64); err != nil {
			ts.Fatalf("share %s: %v", arg, err)
		}
	}
	network, to := s.target(ts, args[1], args[2])
	got, err := lab.Count(ctx(ts), s.host(ts, args[0]).Namespace, network, to, n, 8)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		fmt.Fprintln(ts.Stdout(), name, got[name])
	}
	ts.Check(err)
	for _, problem := range labtest.Outside(got, want) {
		ts.Fatalf("%s", problem)
	}
}

// target is the network without a family and the address of HOST:PORT.
func (s *stage) target(ts *testscript.TestScript, network, to string) (string, netip.AddrPort) {
	network, six := strings.CutSuffix(network, "6")
	if addr, err := netip.ParseAddrPort(to); err == nil {
		return network, addr
	}
	name, port, _ := strings.Cut(to, ":")
	number, err := strconv.ParseUint(port, 10, 16)
	ts.Check(err)
	return network, netip.AddrPortFrom(s.host(ts, name).Addr(six), uint16(number))
}

// refused wants an answer, and that it is no.
func (s *stage) refused(ts *testscript.TestScript, neg bool, args []string) {
	network, to := s.target(ts, args[1], args[2])
	_, err := lab.Count(ctx(ts), s.host(ts, args[0]).Namespace, network, to, 1, 1)
	if got := err != nil && strings.Contains(err.Error(), "refused"); got == neg {
		ts.Fatalf("connection to %v: %v", to, err)
	}
}

func (s *stage) apiserver(ts *testscript.TestScript, _ bool, args []string) {
	switch args[0] {
	case "stop":
		s.StopAPIServer()
	case "start":
		ts.Check(s.StartAPIServer(ctx(ts)))
	default:
		ts.Check(s.APIServer().Signal(unix.SignalNum(args[0])))
	}
}
