package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// count counts n connections that must all be answered.
func count(t *testing.T, from *lab.Namespace, network string, to netip.AddrPort, n int) map[string]int {
	t.Helper()
	got, err := lab.Count(t.Context(), from, network, to, n, 8)
	if err != nil {
		t.Errorf("%s to %v: %v", network, to, err)
	}
	return got
}

func TestPodsAnswerOverEveryPath(t *testing.T) {
	l := labtest.Build(t, lab.Options{Nodes: 2})
	near, far := l.Nodes[0].Pods[0], l.Nodes[1].Pods[1]
	paths := []struct {
		name string
		from *lab.Namespace
		to   *lab.Host
	}{
		{"a pod from its node", l.Nodes[0].Namespace, near},
		{"a pod from another node", l.Nodes[0].Namespace, far},
		{"a pod from a pod of another node", near.Namespace, far},
		{"a pod from itself", near.Namespace, near},
	}
	for _, path := range paths {
		for _, six := range []bool{false, true} {
			for _, network := range []string{"tcp", "udp"} {
				to := netip.AddrPortFrom(path.to.Addr(six), labtest.Port)
				got := count(t, path.from, network, to, 3)
				if diff := cmp.Diff(map[string]int{path.to.Host: 3}, got); diff != "" {
					t.Errorf("%s, %s to %v (-want +got):\n%s", path.name, network, to, diff)
				}
			}
		}
	}
}

// A machine beside the nodes reaches nodes and pods, and is reached by them.
func TestAddHost(t *testing.T) {
	l := labtest.Build(t, lab.Options{Nodes: 2, Pods: 1})
	host, err := l.AddHost("control", 140)
	if err != nil {
		t.Fatal(err)
	}
	b, err := lab.Serve(host.Namespace, netip.AddrPortFrom(netip.IPv6Unspecified(), labtest.Port), host.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, six := range []bool{false, true} {
		got := count(t, host.Namespace, "tcp", netip.AddrPortFrom(l.Pods()[1].Addr(six), labtest.Port), 1)
		if diff := cmp.Diff(map[string]int{"node2-a": 1}, got); diff != "" {
			t.Errorf("from the host (-want +got):\n%s", diff)
		}
		got = count(t, l.Pods()[0].Namespace, "tcp", netip.AddrPortFrom(host.Addr(six), labtest.Port), 1)
		if diff := cmp.Diff(map[string]int{"control": 1}, got); diff != "" {
			t.Errorf("from a pod (-want +got):\n%s", diff)
		}
	}
}

// nodePort is a rule for each family that sends port 30000 to one pod.
func nodePort(t *testing.T, n *lab.Node, pod *lab.Host, masquerade string) {
	t.Helper()
	text := `table inet test {
	chain prerouting {
		type nat hook prerouting priority -150; policy accept;
		ip daddr ` + n.IPv4.String() + ` meta l4proto { tcp, udp } th dport 30000 dnat ip to ` + pod.IPv4.String() + ` : 8080
		ip6 daddr ` + n.IPv6.String() + ` meta l4proto { tcp, udp } th dport 30000 dnat ip6 to [` + pod.IPv6.String() + `]:8080
	}
	chain postrouting {
		type nat hook postrouting priority 90; policy accept;
		` + masquerade + `
	}
}`
	if err := n.Load(strings.ReplaceAll(text, " : 8080", ":8080")); err != nil {
		t.Fatal(err)
	}
}

// The lab must show what a cluster shows: without masquerade the answer of a pod
// on another node comes from an address that the client never asked, and a pod
// that reaches itself through the node gets no answer either.
func TestMasqueradeDecides(t *testing.T) {
	for _, masquerade := range []string{"", "ct status dnat masquerade fully-random"} {
		l := labtest.Build(t, lab.Options{Nodes: 2, Pods: 1})
		node, far := l.Node(), l.Nodes[1].Pods[0]
		cases := []struct {
			name string
			from *lab.Namespace
			pod  *lab.Host
		}{
			{"pod on another node", l.Client, far},
			{"hairpin", node.Pods[0].Namespace, node.Pods[0]},
		}
		for _, c := range cases {
			nodePort(t, node, c.pod, masquerade)
			for _, to := range []netip.Addr{node.IPv4, node.IPv6} {
				for _, network := range []string{"tcp", "udp"} {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					if masquerade == "" {
						ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
					}
					got, err := lab.Count(ctx, c.from, network, netip.AddrPortFrom(to, 30000), 2, 2)
					cancel()
					if answered := got[c.pod.Host] == 2 && err == nil; answered != (masquerade != "") {
						t.Errorf("%s, %s to %v, masquerade %q: %v, %v", c.name, network, to, masquerade, got, err)
					}
				}
			}
			if _, err := node.Run("nft", "delete", "table", "inet", "test"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestBehindGivesEqualShares(t *testing.T) {
	l := labtest.Build(t, lab.Options{Pods: 1})
	var backends []netip.AddrPort
	want := map[string]float64{}
	for _, pod := range l.Pods() {
		backends = append(backends, netip.AddrPortFrom(pod.IPv4, labtest.Port), netip.AddrPortFrom(pod.IPv6, labtest.Port))
		want[pod.Host] = 1.0 / 3
	}
	node := l.Node()
	if err := lab.Behind(node.Namespace, []netip.Addr{node.IPv4, node.IPv6}, 30000, backends); err != nil {
		t.Fatal(err)
	}
	for _, from := range []*lab.Namespace{l.Client, node.Namespace} {
		for _, network := range []string{"tcp", "udp"} {
			labtest.Within(t, count(t, from, network, netip.AddrPortFrom(node.IPv4, 30000), 500), want)
			labtest.Within(t, count(t, from, network, netip.AddrPortFrom(node.IPv6, 30000), 500), want)
		}
	}
	if n, err := lab.Taken(node.Namespace); n != 2000 || err != nil {
		t.Errorf("taken over IPv4 = %d, %v, want the 2,000 connections", n, err)
	}
}

func TestCountTellsWhatFailed(t *testing.T) {
	l := labtest.Build(t, lab.Options{Nodes: 1, Pods: 1})
	got, err := lab.Count(t.Context(), l.Client, "tcp", netip.AddrPortFrom(l.Node().IPv4, 1), 4, 2)
	if err == nil || len(got) != 0 {
		t.Fatalf("count of a closed port = %v, %v, want an error", got, err)
	}
	if want := "4 of 4 connections without an answer: 4 times dial: connect: connection refused"; err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
}

func TestWatchGoesOnUntilTheEnd(t *testing.T) {
	l := labtest.Build(t, lab.Options{Nodes: 1, Pods: 1})
	pod := l.Pods()[0]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := make(chan lab.Answer)
	ended := make(chan error)
	go func() {
		ended <- lab.Watch(ctx, l.Node().Namespace, "tcp", netip.AddrPortFrom(pod.IPv4, labtest.Port), 2, time.Millisecond,
			func(a lab.Answer) {
				select {
				case answers <- a:
				case <-ctx.Done():
				}
			})
	}()
	for range 20 {
		if a := <-answers; a.Name != pod.Host || a.Err != nil || a.Took <= 0 {
			t.Errorf("answer = %+v, want one of %s", a, pod.Host)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A link with its peer in a namespace lives as long as that namespace: so the
// kernel itself tells when a namespace is gone.
func TestCloseLeavesNothing(t *testing.T) {
	outside := labtest.Scratch(t)
	before := visible(t)
	l, err := lab.Build(lab.Options{Prefix: prefix(), Nodes: 2, Pods: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ServePods(labtest.Port); err != nil {
		t.Error(err)
	}
	if got := len(visible(t)) - len(before); got != 6 {
		t.Errorf("namespaces and links in sight = %d more than before, want the 6 namespaces", got)
	}
	if ns, err := lab.Existing(l.Client.Name); err != nil || ns.Close() != nil || len(visible(t))-len(before) != 6 {
		t.Errorf("open a namespace by name and close it: %v, and it must stay", err)
	}
	for _, ns := range l.Namespaces() {
		if _, err := outside.Run("ip", "link", "add", "type", "veth", "peer", "name", "watch", "netns", ns.Name); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if diff := cmp.Diff(before, visible(t)); diff != "" {
		t.Errorf("namespaces and links of the machine (-before +after):\n%s", diff)
	}
	for range 100 {
		if len(linksOf(t, outside)) == 1 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("links to namespaces that live on: %q", linksOf(t, outside))
}

func TestFailedBuildCleansUp(t *testing.T) {
	labtest.RequireKernel(t)
	taken, err := lab.Named(prefix() + "-node2-a") // the one before the last that a Build makes
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	before := visible(t)
	l, err := lab.Build(lab.Options{Prefix: prefix(), Nodes: 2, Pods: 2})
	if err == nil || !strings.Contains(err.Error(), prefix()+"-node2-a") {
		t.Errorf("build with a taken name = %v, %v, want an error that names it", l, err)
	}
	if diff := cmp.Diff(before, visible(t)); diff != "" {
		t.Errorf("namespaces and links of the machine (-before +after):\n%s", diff)
	}
}

func TestBuildRefusesWhatTheAddressPlanCannotHold(t *testing.T) {
	labtest.RequireKernel(t)
	for _, opts := range []lab.Options{{Nodes: lab.MaxNodes + 1}, {Nodes: -1}, {Pods: lab.MaxPods + 1}, {Pods: -1}} {
		if l, err := lab.Build(opts); err == nil {
			t.Errorf("build of %+v succeeded", opts)
			l.Close()
		}
	}
}

// prefix is one that no other run of these tests takes at the same time.
func prefix() string { return fmt.Sprintf("weft-test%d", os.Getpid()) }

// visible are the named namespaces of this run and the links of the machine.
func visible(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"/run/netns", "/sys/class/net"} {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if dir != "/run/netns" || strings.HasPrefix(e.Name(), prefix()) {
				all = append(all, filepath.Join(dir, e.Name()))
			}
		}
	}
	return all
}

// linksOf lists the links of a namespace.
func linksOf(t *testing.T, ns *lab.Namespace) []string {
	t.Helper()
	out, err := ns.Run("ip", "-o", "link")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
