package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab"
	"weft/examples/lab/cluster"
	"weft/examples/lab/labtest"
)

// TestBesideKubeProxy looks at everything that a client can do with a Service,
// first with kube-proxy alone, then with weft beside it, and goes through what
// can happen to the two while connections go on.
func TestBesideKubeProxy(t *testing.T) {
	t.Parallel()
	for _, mode := range []cluster.ProxyMode{cluster.NFTables, cluster.IPTables} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBeside(t, mode, "base")
			b.alone = observe(t, b.Cluster)
			b.spread(equal)

			b.start()
			if diff := cmp.Diff(with("0", capNetAdmin), privileges(t, b.pod.Containers["weft"])); diff != "" {
				t.Errorf("privileges (-want +got):\n%s", diff)
			}
			b.spread(steered)
			b.sameAsAlone("weft has taken over")
			b.release()
			b.restartProxy()
			b.resync()
			b.kill()
		})
	}
}

// beside is a cluster with kube-proxy on node1, and weft later.
type beside struct {
	*cluster.Cluster
	t     *testing.T
	mode  cluster.ProxyMode
	proxy *cluster.Process
	pod   *cluster.Pod
	alone map[string]string
}

// Shares of web's pods: kube-proxy's and those of the annotation.
var (
	equal   = map[string]float64{"node1-a": 1. / 3, "node2-a": 1. / 3, "node3-a": 1. / 3}
	steered = map[string]float64{"node1-a": 0.5, "node2-a": 0.3, "node3-a": 0.2}
)

// heartbeat is short, so that a test sees it end.
const heartbeat = 5 * time.Second

// newBeside is a cluster with the Services of testdata/beside, the manifests of a
// kustomization and kube-proxy, before weft starts.
func newBeside(t *testing.T, mode cluster.ProxyMode, kustomization string) *beside {
	b := &beside{t: t, mode: mode, Cluster: labtest.StartCluster(t, cluster.Options{})}
	text, err := os.ReadFile("testdata/beside/services.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), string(text)); err != nil {
		t.Fatal(err)
	}
	// A kernel does not refuse the same client more than once a second.
	if _, err := b.Node().Run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"); err != nil {
		t.Fatal(err)
	}
	announce(t, b.Cluster)
	apply(t, b.Cluster, filepath.Join(manifests, kustomization))
	b.configure("source: kubernetes\nvars: {heartbeat: " + heartbeat.String() + "}\n")
	b.startProxy()
	return b
}

// configure writes the configuration into the ConfigMap.
func (b *beside) configure(text string) {
	b.t.Helper()
	patch := fmt.Sprintf(`{"data": {"weft.yaml": %q}}`, text)
	if _, err := b.Kubectl(b.t.Context(), nil, "patch", "configmap", "weft", "--namespace=weft", "--patch", patch); err != nil {
		b.t.Fatal(err)
	}
}

func (b *beside) startProxy() {
	b.t.Helper()
	var err error
	if b.proxy, err = b.StartKubeProxy(b.t.Context(), b.Node(), cluster.ProxyOptions{Mode: b.mode, SyncPeriod: 3 * time.Second}); err != nil {
		b.t.Fatal(err)
	}
}

// spread compares where web's connections go with the shares, on all its ways.
func (b *beside) spread(shares map[string]float64) {
	b.t.Helper()
	for _, p := range paths(b.Cluster)[:4] {
		got, err := lab.Count(b.t.Context(), p.from.Namespace, p.network, netip.MustParseAddrPort(p.to), 600, 8)
		if err != nil {
			b.t.Errorf("%s: %v", p.name, err)
		}
		labtest.Within(b.t, got, shares)
	}
}

func (b *beside) sameAsAlone(when string) {
	b.t.Helper()
	if diff := cmp.Diff(b.alone, observe(b.t, b.Cluster)); diff != "" {
		b.t.Errorf("%s (-kube-proxy alone +with weft):\n%s", when, diff)
	}
}

func (b *beside) start() {
	b.under("weft takes over", append(b.web(equal, steered), b.untouched()...), func() { b.pod = runPod(b.t, b.Cluster) })
}

// runPod runs weft's DaemonSet on node1 until it is ready.
func runPod(t *testing.T, c *cluster.Cluster) *cluster.Pod {
	t.Helper()
	pod, err := c.RunDaemonSet(t.Context(), c.Node(), "weft", "weft", map[string]string{"weft": buildWeft(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, container := range pod.Containers {
			if t.Failed() {
				t.Log(container.LastWords())
			}
		}
	})
	if err := pod.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return pod
}

// release gives web back to kube-proxy, and takes it again.
func (b *beside) release() {
	b.under("weft releases", append(b.web(steered, equal), b.untouched()...), func() {
		b.annotate("weft/steer=false")
		b.held("tcp . 30080", false)
	})
	b.spread(equal)
	b.under("weft takes again", append(b.web(equal, steered), b.untouched()...), func() {
		b.annotate("weft/steer-")
		b.held("tcp . 30080", true)
	})
	b.spread(steered)
}

func (b *beside) annotate(annotation string) {
	b.t.Helper()
	if _, err := b.Kubectl(b.t.Context(), nil, "annotate", "--overwrite", "service", "web", annotation); err != nil {
		b.t.Error(err)
	}
}

// held waits until weft's map of NodePorts holds an element, or does not.
func (b *beside) held(element string, want bool) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%q in weft's map: %v", element, want), func() bool {
		out, err := b.Node().Run("nft", "list", "map", "ip", "weft", "service-nodeports")
		return err == nil && strings.Contains(string(out), element) == want
	})
}

func (b *beside) eventually(what string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("not within %v: %s. %s", patience, what, b.proxy.LastWords())
		}
	}
}

// restartProxy kills kube-proxy and starts it, which writes all its rules anew.
func (b *beside) restartProxy() {
	b.under("kube-proxy starts again", append(b.web(steered, steered), b.untouched()...), func() {
		b.proxy.Kill()
		b.startProxy()
	})
	b.spread(steered)
	b.sameAsAlone("kube-proxy has started again")
}

// resync takes kube-proxy's rules away, and changes a slice so that it finds
// that out. What weft steers does not notice.
func (b *beside) resync() {
	b.under("kube-proxy writes everything anew", b.web(steered, steered), func() {
		b.takeProxyRules()
		b.eventually("kube-proxy's rules are back", b.proxyIsBack)
	})
	b.sameAsAlone("kube-proxy has written everything anew")
}

// proxyIsBack reports whether kube-proxy serves what is its own, and would serve
// web's IPv6 if weft did not.
func (b *beside) proxyIsBack() bool {
	command := "nft list map ip6 kube-proxy service-nodeports"
	if b.mode == cluster.IPTables {
		command = "ip6tables-save -t nat"
	}
	out, err := b.Node().Run("sh", "-c", command)
	return err == nil && strings.Contains(string(out), "30080") &&
		strings.HasPrefix(answers(b.t.Context(), path{from: b.outside(), network: "tcp", to: fmt.Sprintf("%v:30083", b.Node().IPv4)}), "node2")
}

// outside is the client, which is no node and no pod.
func (b *beside) outside() *lab.Host { return paths(b.Cluster)[0].from }

func (b *beside) takeProxyRules() {
	b.t.Helper()
	tables := []string{"ip kube-proxy", "ip6 kube-proxy"}
	if b.mode == cluster.IPTables {
		tables = []string{"ip nat", "ip filter", "ip mangle", "ip6 nat", "ip6 filter", "ip6 mangle"}
	}
	for _, table := range tables {
		if _, err := b.Node().Run("sh", "-c", "nft delete table "+table); err != nil {
			b.t.Fatal(err)
		}
	}
	for slice, address := range map[string]string{"spare-4": "10.42.2.10", "spare-6": "fd42:2::10"} {
		patch := fmt.Sprintf(`[{"op": "replace", "path": "/endpoints/0/addresses/0", "value": %q}]`, address)
		if _, err := b.Kubectl(b.t.Context(), nil, "patch", "endpointslice", slice, "--type=json", "--patch", patch); err != nil {
			b.t.Error(err)
		}
	}
}

// kill ends weft without a word: kube-proxy has web when the heartbeat ends.
func (b *beside) kill() {
	b.under("weft is killed", append(b.web(steered, equal), b.untouched()...), func() {
		b.pod.Containers["weft"].Kill()
		time.Sleep(heartbeat + time.Second)
	})
	b.spread(equal)
	b.sameAsAlone("weft is dead")
}
