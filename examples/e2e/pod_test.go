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
	c := labtest.StartCluster(t, cluster.Options{Lab: lab.Options{Nodes: 1, Pods: 1}})
	mine := t.TempDir()
	component, err := filepath.Rel(mine, mustAbs(t, filepath.Join(manifests, "components/templates")))
	if err != nil {
		t.Fatal(err)
	}
	base, err := filepath.Rel(mine, mustAbs(t, filepath.Join(manifests, "base")))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("resources: [%s]\ncomponents: [%s]\n", base, component)
	if err := os.WriteFile(filepath.Join(mine, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
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

// TestManifestCommand compares what weft prints with what kustomize makes of the
// files, and lets the API server look at what a configuration changes.
func TestManifestCommand(t *testing.T) {
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

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// capNetAdmin is the only capability that weft may have, as a mask
// (capabilities(7), linux/capability.h).
const capNetAdmin = "0000000000001000"

func TestPodHasWhatItAsksFor(t *testing.T) {
	c := labtest.StartCluster(t, cluster.Options{Lab: lab.Options{Nodes: 1, Pods: 1}})
	apply(t, c, filepath.Join(manifests, "base"))
	config := `{"data": {"weft.yaml": "vars: {heartbeat: 30s}\nstatic:\n  addresses: [10.34.4.141]\n  services:\n  - name: web\n    nodePort: 30080\n    endpoints:\n    - {address: 10.42.1.10, port: 8080}\n"}}`
	if _, err := c.Kubectl(t.Context(), nil, "patch", "configmap", "weft", "--namespace=weft", "--patch", config); err != nil {
		t.Fatal(err)
	}
	pod, err := c.RunDaemonSet(t.Context(), c.Node(), "weft", "weft", map[string]string{"weft": buildWeft(t)})
	if err != nil {
		t.Fatal(err)
	}
	weft := pod.Containers["weft"]
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(weft.LastWords())
		}
	})
	awaitLog(t, weft, "rules proven")
	got := map[string]string{}
	for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"} {
		got[field] = status(t, weft, field)
	}
	none := "0000000000000000"
	want := map[string]string{
		"CapInh": none, "CapPrm": capNetAdmin, "CapEff": capNetAdmin, "CapBnd": capNetAdmin, "CapAmb": none, "NoNewPrivs": "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
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
