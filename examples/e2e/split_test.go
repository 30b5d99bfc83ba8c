package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab/cluster"
)

// blockTable keeps everything that runs as root, but kube-proxy, from the API
// server, and counts what tried.
const blockTable = `table inet block {
	counter tried { }
	chain output {
		type filter hook output priority -300; policy accept;
		meta skuid 0 meta skgid != %d tcp dport { 443, 6443 } counter name tried drop
	}
}
`

// TestSplit runs watch, which has the token and no capability, apart from apply,
// which has NET_ADMIN, no token, and no way to the API server.
func TestSplit(t *testing.T) {
	t.Parallel()
	b := newBeside(t, cluster.NFTables, "overlays/split")
	if err := b.Node().Load(fmt.Sprintf(blockTable, cluster.ProxyGroup)); err != nil {
		t.Fatal(err)
	}
	// The test runs as root, too: the rule must stop and count it.
	if got := answers(t.Context(), path{from: &b.Node().Host, network: "tcp", to: "10.34.4.140:6443"}); got != "nobody: silence" {
		t.Fatalf("root is answered by the API server: %s", got)
	}
	before := tried(t, b.Cluster)
	if before == 0 {
		t.Fatal("the rule that keeps root from the API server counts nothing")
	}
	b.alone = observe(t, b.Cluster)
	b.start()
	watch, applier := b.pod.Containers["watch"], b.pod.Containers["apply"]
	if diff := cmp.Diff(with("65532", "0000000000000000"), privileges(t, watch)); diff != "" {
		t.Errorf("watch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(with("0", capNetAdmin), privileges(t, applier)); diff != "" {
		t.Errorf("apply (-want +got):\n%s", diff)
	}
	if !sees(t, watch, "/run/secrets/kubernetes.io/serviceaccount/token") {
		t.Error("watch has no token")
	}
	if sees(t, applier, "/run/secrets") {
		t.Error("apply sees a folder of secrets")
	}
	if !sees(t, applier, "/run/weft/history") || sees(t, watch, "/run/weft") {
		t.Error("the node's folder should be apply's alone")
	}
	b.spread(steered)
	b.sameAsAlone("a split weft has taken over")
	b.release()
	b.watcherDies()
	b.applierDies()
	if n := tried(t, b.Cluster) - before; n != 0 {
		t.Errorf("apply sent %d packets towards the API server, want none", n)
	}
}

// sees reports whether a process has a file in its root.
func sees(t *testing.T, p *cluster.Process, path string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(fmt.Sprintf("/proc/%d/root", p.Pid), path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// tried is how many packets [blockTable] dropped.
func tried(t *testing.T, c *cluster.Cluster) uint64 {
	t.Helper()
	out, err := c.Node().Run("nft", "-j", "list", "counter", "inet", "block", "tried")
	if err != nil {
		t.Fatal(err)
	}
	var listing struct {
		NFTables []struct{ Counter *struct{ Packets uint64 } }
	}
	if err := json.Unmarshal(out, &listing); err != nil {
		t.Fatal(err)
	}
	for _, object := range listing.NFTables {
		if object.Counter != nil {
			return object.Counter.Packets
		}
	}
	t.Fatalf("no counter in %s", out)
	return 0
}

// reweighted are the shares after the annotation that watcherDies writes.
var reweighted = map[string]float64{"node1-a": 0.25, "node2-a": 0.25, "node3-a": 0.5}

// watcherDies leaves the applier alone, which goes on with the last state, and
// comes back to a Service that changed meanwhile.
func (b *beside) watcherDies() {
	b.under("watch is killed", append(b.web(steered, steered), b.untouched()...), func() {
		b.pod.Containers["watch"].Kill()
		time.Sleep(heartbeat + time.Second)
	})
	b.spread(steered)
	b.annotate("weft/weights=node1=1 node2=1 node3=2")
	b.under("watch starts again", append(b.web(steered, reweighted), b.untouched()...), func() {
		if err := b.pod.Restart("watch"); err != nil {
			b.t.Fatal(err)
		}
		b.eventually("the new weights are in the kernel", func() bool {
			out, err := b.Node().Run("nft", "list", "table", "ip", "weft")
			return err == nil && strings.Contains(string(out), "50-99 : 10.42.3.10")
		})
	})
	b.spread(reweighted)
}

// applierDies leaves nobody to renew the heartbeat.
func (b *beside) applierDies() {
	b.under("apply is killed", append(b.web(reweighted, equal), b.untouched()...), func() {
		b.pod.Containers["apply"].Kill()
		time.Sleep(heartbeat + time.Second)
	})
	b.spread(equal)
	b.under("apply starts again", append(b.web(equal, reweighted), b.untouched()...), func() {
		if err := b.pod.Restart("apply"); err != nil {
			b.t.Fatal(err)
		}
		if err := b.pod.AwaitReady(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	})
	b.spread(reweighted)
}
