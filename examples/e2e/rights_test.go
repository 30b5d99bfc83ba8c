package e2e

import (
	"encoding/json"
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
// besides. The API server's audit log says what was asked, on both ways to a
// first list: with watch-list nobody lists.
func TestRights(t *testing.T) {
	labtest.RequireControlPlane(t)
	old, err := controlplane.OldEtcd()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	var granted []string
	for _, etcd := range []string{"", old} {
		c := labtest.StartCluster(t, cluster.Options{Etcd: etcd, Lab: lab.Options{Nodes: 1, Pods: 1}})
		apply(t, c, filepath.Join(manifests, "base"))
		if _, err := c.StartKubeProxy(t.Context(), c.Node(), cluster.ProxyOptions{Mode: cluster.NFTables}); err != nil {
			t.Fatal(err)
		}
		runPod(t, c)
		misspell(t, c)
		granted = rights(t, c)
		uses, err := c.Used("weft", "weft")
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uses {
			used[u.Verb+" "+u.Group+"/"+u.Resource] = true
			if u.Denied {
				t.Errorf("the API server denied %+v", u)
			}
		}
	}
	var want []string
	for use := range used {
		want = append(want, use)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, granted); diff != "" {
		t.Errorf("rights (-used +granted):\n%s", diff)
	}
}

// misspell makes an annotation wrong, of which weft tells by an Event. It never
// patches one: a Service that changed is another object to client-go's recorder,
// so that what it tells is never the same again.
func misspell(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	const service = `apiVersion: v1
kind: Service
metadata: {name: wrong, namespace: default, annotations: {weft/steer: perhaps}}
spec:
  type: NodePort
  ports: [{port: 80}]
`
	if err := c.Apply(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		told, err := c.Kubectl(t.Context(), nil, "get", "events.events.k8s.io", "--namespace=default", "--output=jsonpath={.items[*].reason}")
		if err == nil && strings.Contains(told, "InvalidAnnotation") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("events: %q %v", told, err)
		}
	}
}

// rights are those of the ClusterRole, as the API server has it.
func rights(t *testing.T, c *cluster.Cluster) []string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), nil, "get", "clusterrole", "weft", "--output=json")
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := json.Unmarshal([]byte(out), &role); err != nil {
		t.Fatal(err)
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
