package manifest

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	manifests "weft/examples/kubernetes"
)

// usual is what the default configuration asks for.
func usual() Options {
	return Options{Config: "source: kubernetes\n", Events: true, Listen: netip.MustParseAddrPort("127.0.0.1:10289")}
}

func written(t *testing.T, o Options) string {
	t.Helper()
	objects, err := Objects(o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Write(&out, objects); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// plain reads a stream without Go's types, so that nothing is added or lost.
func plain(t *testing.T, texts ...[]byte) []any {
	t.Helper()
	var all []any
	for _, text := range texts {
		read, err := documents(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, read...)
	}
	return all
}

func TestDefaultIsTheBase(t *testing.T) {
	want := plain(t, manifests.Namespace, manifests.Access, manifests.Config, manifests.DaemonSet)
	if diff := cmp.Diff(want, plain(t, []byte(written(t, usual())))); diff != "" {
		t.Errorf("-examples/kubernetes/base +weft manifest:\n%s", diff)
	}
}

// TestSplitAsKubernetesDoes compares with what the API's own library makes of the overlay.
func TestSplitAsKubernetesDoes(t *testing.T) {
	set, patch := mustJSON(t, manifests.DaemonSet), mustJSON(t, manifests.Split)
	want, err := strategicpatch.StrategicMergePatch(set, patch, appsv1.DaemonSet{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := split(set)
	if diff := cmp.Diff(plain(t, want), plain(t, got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func mustJSON(t *testing.T, text []byte) []byte {
	t.Helper()
	text, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOptions(t *testing.T) {
	cases := []struct {
		name   string
		change func(*Options)
		has    []string
		hasNot []string
	}{
		{"image", func(o *Options) { o.Image = "registry/weft:1" }, []string{"image: registry/weft:1\n"}, []string{"image: weft\n"}},
		{"no events", func(o *Options) { o.Events = false }, []string{"servicecidrs"}, []string{"events"}},
		{"other port", func(o *Options) { o.Listen = netip.MustParseAddrPort("0.0.0.0:99") }, []string{"host: 127.0.0.1\n            path: /livez\n            port: 99\n"}, []string{"10289"}},
		{"IPv6", func(o *Options) { o.Listen = netip.MustParseAddrPort("[::1]:99") }, []string{"host: ::1\n"}, []string{"10289"}},
		{"no health checks", func(o *Options) { o.Listen = netip.AddrPort{} }, nil, []string{"Probe", "10289"}},
		{"templates", func(o *Options) { o.Templates = map[string]string{"ruleset.nft.tmpl": "text"} }, []string{"  ruleset.nft.tmpl: text\n", "name: weft-templates\n"}, nil},
		{"split", func(o *Options) { o.Split = true }, []string{"name: watch\n", "- apply\n", "port: 10291\n", "value: 127.0.0.1:10291\n"}, []string{"name: run\n          - weft"}},
		{"split on another port", func(o *Options) { o.Split, o.Listen = true, netip.MustParseAddrPort("0.0.0.0:99") }, []string{"port: 101\n", "value: 0.0.0.0:101\n"}, []string{"1029"}},
		{"split without health checks", func(o *Options) { o.Split, o.Listen = true, netip.AddrPort{} }, []string{"name: WEFT_LISTEN\n"}, []string{"1029", "Probe"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := usual()
			c.change(&o)
			got := written(t, o)
			for _, text := range c.has {
				if !strings.Contains(got, text) {
					t.Errorf("no %q in:\n%s", text, got)
				}
			}
			for _, text := range c.hasNot {
				if strings.Contains(got, text) {
					t.Errorf("%q in:\n%s", text, got)
				}
			}
		})
	}
}

// TestNamespaces wants no right beyond the namespaces for what is in them.
func TestNamespaces(t *testing.T) {
	o := usual()
	o.Namespaces = []string{"b", "a"}
	granted := map[string][]string{}
	for _, object := range plain(t, []byte(written(t, o))) {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		var role struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Rules    []struct{ Resources []string }
			RoleRef  struct{ Kind, Name string }
			Subjects []struct{ Name, Namespace string }
		}
		if err := yaml.Unmarshal(text, &role); err != nil {
			t.Fatal(err)
		}
		key := role.Kind + " " + role.Metadata.Namespace
		for _, r := range role.Rules {
			granted[key] = append(granted[key], r.Resources...)
		}
		for _, s := range role.Subjects {
			granted[key] = append(granted[key], role.RoleRef.Kind, role.RoleRef.Name, s.Namespace+"/"+s.Name)
		}
	}
	local := []string{"services", "endpointslices", "events"}
	want := map[string][]string{
		"ClusterRole ":        {"nodes", "servicecidrs"},
		"ClusterRoleBinding ": {"ClusterRole", "weft", "weft/weft"},
		"Role a":              local, "RoleBinding a": {"Role", "weft", "weft/weft"},
		"Role b": local, "RoleBinding b": {"Role", "weft", "weft/weft"},
	}
	if diff := cmp.Diff(want, granted); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
}
