package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"weft/examples/lab"
	"weft/examples/lab/cluster"
	"weft/examples/lab/controlplane"
	"weft/examples/lab/labtest"
)

// TestRights wants weft to use every right that its ClusterRole gives, and none
// besides. The API server's audit log says what was asked.
func TestRights(t *testing.T) {
	t.Parallel()
	labtest.RequireControlPlane(t)
	old, err := controlplane.OldEtcd()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("watch-list", func(t *testing.T) {
		t.Parallel()
		r := newRights(t, "")
		apply(t, r.Cluster, filepath.Join(manifests, "base"))
		r.use("default")
		want := slices.DeleteFunc(r.granted("clusterrole", "weft"), func(right string) bool { return strings.HasPrefix(right, "list ") })
		if diff := cmp.Diff(want, r.used("")); diff != "" {
			t.Errorf("rights but to list, which nobody does with watch-list (-granted +used):\n%s", diff)
		}
	})
	t.Run("list and watch", func(t *testing.T) {
		t.Parallel()
		r := newRights(t, old)
		apply(t, r.Cluster, filepath.Join(manifests, "base"))
		r.use("default")
		if diff := cmp.Diff(r.granted("clusterrole", "weft"), r.used("")); diff != "" {
			t.Errorf("rights (-granted +used):\n%s", diff)
		}
	})
	t.Run("some namespaces", func(t *testing.T) {
		t.Parallel()
		r := newRights(t, old)
		for _, namespace := range []string{"bank", "shop"} {
			if _, err := r.Kubectl(t.Context(), nil, "create", "namespace", namespace); err != nil {
				t.Fatal(err)
			}
		}
		config := filepath.Join(t.TempDir(), "weft.yaml")
		write(t, config, "source: kubernetes\nnamespaces: bank,shop\n")
		if err := r.Apply(t.Context(), manifest(t, "--config", config)); err != nil {
			t.Fatal(err)
		}
		r.use("bank")
		if diff := cmp.Diff(r.granted("clusterrole", "weft"), r.used("")); diff != "" {
			t.Errorf("rights in the cluster (-granted +used):\n%s", diff)
		}
		if diff := cmp.Diff(r.granted("role", "weft", "--namespace=bank"), r.used("bank")); diff != "" {
			t.Errorf("rights in the namespace with an Event (-granted +used):\n%s", diff)
		}
		want := slices.DeleteFunc(r.granted("role", "weft", "--namespace=shop"), func(right string) bool { return strings.HasPrefix(right, "create ") })
		if diff := cmp.Diff(want, r.used("shop")); diff != "" {
			t.Errorf("rights in the namespace without an Event (-granted +used):\n%s", diff)
		}
	})
}

// rights is a cluster with kube-proxy, for a weft of which it is to be known what
// it asks for.
type rights struct {
	*cluster.Cluster
	t *testing.T
}

func newRights(t *testing.T, etcd string) *rights {
	t.Helper()
	c := labtest.StartCluster(t, cluster.Options{Etcd: etcd, Lab: lab.Options{Nodes: 1, Pods: 1}})
	if _, err := c.StartKubeProxy(t.Context(), c.Node(), cluster.ProxyOptions{Mode: cluster.NFTables}); err != nil {
		t.Fatal(err)
	}
	return &rights{c, t}
}

// use runs weft's pod until it has done all that it ever asks the API server for.
func (r *rights) use(namespace string) {
	r.t.Helper()
	pod := runPod(r.t, r.Cluster)
	misspell(r.t, r.Cluster, namespace)
	pod.Stop()
}

// used is what weft asked for in a namespace, sorted: "" is what it asked of the
// whole cluster, and Events with it where nothing else is asked of a namespace.
func (r *rights) used(namespace string) []string {
	r.t.Helper()
	uses, err := r.Used("weft", "weft")
	if err != nil {
		r.t.Fatal(err)
	}
	scoped := slices.ContainsFunc(uses, func(u cluster.Use) bool { return u.Namespace != "" && u.Verb != "create" })
	found := map[string]bool{}
	for _, u := range uses {
		if u.Denied {
			r.t.Errorf("the API server denied %+v", u)
		}
		if u.Namespace == namespace || !scoped {
			found[u.Verb+" "+u.Group+"/"+u.Resource] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// misspell makes an annotation wrong, of which weft tells by an Event. It never
// patches one: a Service that changed is another object to client-go's recorder,
// so that what it tells is never the same again.
func misspell(t *testing.T, c *cluster.Cluster, namespace string) {
	t.Helper()
	const service = `apiVersion: v1
kind: Service
metadata: {name: wrong, namespace: %s, annotations: {weft/steer: perhaps}}
spec:
  type: NodePort
  ports: [{port: 80}]
`
	if err := c.Apply(t.Context(), fmt.Sprintf(service, namespace)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		told, err := c.Kubectl(t.Context(), nil, "get", "events.events.k8s.io", "--namespace="+namespace, "--output=jsonpath={.items[*].reason}")
		if err == nil && strings.Contains(told, "InvalidAnnotation") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("events: %q %v", told, err)
		}
	}
}

// granted are the rights of a role, as the API server has it.
func (r *rights) granted(kind, name string, more ...string) []string {
	r.t.Helper()
	out, err := r.Kubectl(r.t.Context(), nil, append([]string{"get", kind, name, "--output=json"}, more...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	var role rbacv1.ClusterRole // a Role has the same rules
	if err := json.Unmarshal([]byte(out), &role); err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, rule := range role.Rules {
		for _, verb := range rule.Verbs {
			for _, resource := range rule.Resources {
				all = append(all, verb+" "+rule.APIGroups[0]+"/"+resource)
			}
		}
	}
	slices.Sort(all)
	return all
}
