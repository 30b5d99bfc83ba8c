package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"weft/examples/lab"
	"weft/examples/lab/cluster"
	"weft/examples/lab/labtest"
)

// manifests is the folder with the kustomizations.
const manifests = "../kubernetes"

// apply brings a kustomization to the API server. The namespace comes first,
// since a dry run makes none for what is in it.
func apply(t *testing.T, c *cluster.Cluster, kustomization string, more ...string) string {
	t.Helper()
	if _, err := c.Kubectl(t.Context(), nil, "apply", "--server-side", "-f", filepath.Join(manifests, "base/namespace.yaml")); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"apply", "--server-side", "--force-conflicts", "-k", kustomization}, more...)
	out, err := c.Kubectl(t.Context(), nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// status is a field of a process's status: what the kernel says, not what was
// asked for.
func status(t *testing.T, p *cluster.Process, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?m)^" + field + ":\t(.*)$").FindSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in %s", field, text)
	}
	return string(found[1])
}

// TestManifests asks the real API server what it thinks of each kustomization.
func TestManifests(t *testing.T) {
	t.Parallel()
	c := labtest.StartCluster(t, cluster.Options{Lab: lab.Options{Nodes: 1, Pods: 1}})
	mine := ownTemplates(t)
	for _, k := range []struct {
		name, path string
		objects    int
	}{
		{"base", filepath.Join(manifests, "base"), 6},
		{"k3s", filepath.Join(manifests, "overlays/k3s"), 6},
		{"split", filepath.Join(manifests, "overlays/split"), 6},
		{"own templates", mine, 7},
	} {
		t.Run(k.name, func(t *testing.T) {
			out := apply(t, c, k.path, "--dry-run=server")
			if got := strings.Count(out, "serverside-applied (server dry run)"); got != k.objects {
				t.Errorf("%d objects taken, want %d:\n%s", got, k.objects, out)
			}
		})
	}
}

// ownTemplates is a kustomization of the base with the component for templates.
// It is a copy, as a user would make, so that the test can edit it.
func ownTemplates(t *testing.T) string {
	t.Helper()
	mine := t.TempDir()
	for _, folder := range []string{"base", "components/templates"} {
		if err := os.CopyFS(filepath.Join(mine, filepath.Base(folder)), os.DirFS(filepath.Join(manifests, folder))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(mine, "kustomization.yaml"), "resources: [base]\ncomponents: [templates]\n")
	return mine
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOwnTemplates edits templates in their ConfigMap, for better and for worse,
// under a weft that has NET_ADMIN alone.
func TestOwnTemplates(t *testing.T) {
	t.Parallel()
	b := newBeside(t, cluster.NFTables, "base")
	mine := ownTemplates(t)
	edit := func(from, to string) {
		path := filepath.Join(mine, "templates/_service.nft.tmpl")
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), from) {
			t.Fatalf("no %q in %s: %v", from, text, err)
		}
		write(t, path, strings.Replace(string(text), from, to, 1))
	}
	publish := func() {
		apply(t, b.Cluster, mine)
		b.configure("source: kubernetes\nvars: {heartbeat: 5s}\n")
		if b.pod == nil {
			return
		}
		if err := b.pod.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(text string) bool {
		out, err := b.Node().Run("nft", "list", "table", "ip", "weft")
		return err == nil && strings.Contains(string(out), text)
	}
	edit("dnat to {{ .AddrPort }} comment {{ .Comment }}", `dnat to {{ .AddrPort }} comment "first"`)
	publish()
	b.start()
	b.eventually("the set of the ConfigMap is in the kernel", func() bool { return holds(`comment "first"`) })
	b.spread(steered)

	edit(`"first"`, `"second"`)
	publish()
	b.eventually("the edited set is in the kernel", func() bool { return holds(`comment "second"`) })

	edit(`comment "second"`, `nonsense "third"`)
	publish()
	awaitLog(t, b.pod.Containers["weft"], "nonsense")
	b.spread(steered)
	if !holds(`comment "second"`) {
		t.Error("a broken set changed the kernel")
	}

	// Rules that load and do something else cannot be tried before, since a
	// container may not make a network namespace. They are gone at once.
	edit(`nonsense "third"`, `comment "third"`)
	edit(`dnat to {{ .AddrPort }}`, `accept`)
	publish()
	awaitLog(t, b.pod.Containers["weft"], "loaded but not proven")
	b.eventually("the last good set is back", func() bool { return holds(`comment "second"`) && !holds("accept comment") })
	b.spread(steered)
}

// TestManifestCommand compares what weft prints with what kustomize makes of the
// files, and lets the API server look at what a configuration changes.
func TestManifestCommand(t *testing.T) {
	t.Parallel()
	c := labtest.StartCluster(t, cluster.Options{Lab: lab.Options{Nodes: 1, Pods: 1}})
	for kustomization, flags := range map[string][]string{"base": nil, "overlays/split": {"--split"}} {
		built, err := c.Kubectl(t.Context(), nil, "kustomize", filepath.Join(manifests, kustomization))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(objects(t, built), objects(t, manifest(t, flags...))); diff != "" {
			t.Errorf("-kustomize build %s +weft manifest %v:\n%s", kustomization, flags, diff)
		}
	}
	if err := c.Apply(t.Context(), manifest(t)); err != nil {
		t.Fatal(err)
	}
	other := manifest(t, "--split", "--namespaces=default,kube-system", "--events=false", "--image=registry/weft:1", "--listen=0.0.0.0:2000")
	if err := c.Apply(t.Context(), other); err != nil {
		t.Error(err)
	}
}

// manifest is what weft prints with the configuration that it has by itself.
func manifest(t *testing.T, flags ...string) string {
	t.Helper()
	cmd := exec.Command(buildWeft(t), append([]string{"manifest"}, flags...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("weft manifest %v: %v", flags, err)
	}
	return string(out)
}

// objects reads a YAML stream, by kind and name.
func objects(t *testing.T, stream string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, document := range strings.Split(stream, "\n---\n") {
		var object struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
		}
		var plain any
		if err := errors.Join(yaml.Unmarshal([]byte(document), &object), yaml.Unmarshal([]byte(document), &plain)); err != nil {
			t.Fatal(err)
		}
		all[object.Kind+" "+object.Metadata.Namespace+"/"+object.Metadata.Name] = plain
	}
	return all
}

// capNetAdmin is the only capability that weft may have, as a mask
// (capabilities(7), linux/capability.h).
const capNetAdmin = "0000000000001000"

// privileges are what the kernel says of a process.
func privileges(t *testing.T, p *cluster.Process) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, field := range []string{"Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"} {
		got[field], _, _ = strings.Cut(status(t, p, field), "\t")
	}
	return got
}

// with is what privileges gives for a user with a set of capabilities.
func with(user, capabilities string) map[string]string {
	const none = "0000000000000000"
	return map[string]string{
		"Uid": user, "CapInh": none, "CapPrm": capabilities, "CapEff": capabilities, "CapBnd": capabilities, "CapAmb": none,
		"NoNewPrivs": "1",
	}
}

// awaitLog waits until a process has said something.
func awaitLog(t *testing.T, p *cluster.Process, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if log, err := os.ReadFile(p.Log); err == nil && strings.Contains(string(log), text) {
			return
		}
		select {
		case <-p.Ended():
			t.Fatalf("%s ended. %s", p.Name, p.LastWords())
		default:
		}
	}
	t.Fatalf("%s does not say %q. %s", p.Name, text, p.LastWords())
}
