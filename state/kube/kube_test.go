package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/google/go-cmp/cmp"
)

func TestParseWeights(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "got nothing, expected ADDRESS=WEIGHT, NODE=WEIGHT or LABEL=VALUE=WEIGHT, separated by commas or spaces"},
		{"n1", `got "n1", expected ADDRESS=WEIGHT, NODE=WEIGHT or LABEL=VALUE=WEIGHT, separated by commas or spaces`},
		{"=1", `got "=1", expected ADDRESS=WEIGHT, NODE=WEIGHT or LABEL=VALUE=WEIGHT, separated by commas or spaces`},
		{"n1=-1", `got the weight "-1" for n1, expected a number of at least 0`},
		{"n1=NaN", `got the weight "NaN" for n1, expected a number of at least 0`},
		{"n1=Inf, n2=x", `got the weight "Inf" for n1, expected a number of at least 0; got the weight "x" for n2, expected a number of at least 0`},
		{"fd00::1=0,n1=1.5 topology.kubernetes.io/zone=a=2", ""},
	}
	for _, tt := range tests {
		got := ""
		if _, err := parseWeights(tt.text); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("parseWeights(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestNodePortAddresses(t *testing.T) {
	n := node("n1", "192.0.2.2", "192.0.2.1", "2001:db8::2", "2001:db8::1", "127.0.0.1", "nonsense")
	n.Status.Addresses = append(n.Status.Addresses,
		corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "203.0.113.1"}, corev1.NodeAddress{Type: corev1.NodeHostName, Address: "203.0.113.2"})
	tests := []struct{ text, want string }{
		{"primary", "[192.0.2.2 2001:db8::2]"},
		{"all", "[192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2]"},
		{"192.0.2.1/32, 203.0.113.0/24", "[192.0.2.1 203.0.113.1]"},
		{"::/0", "[2001:db8::1 2001:db8::2]"},
		{"10.0.0.0/8", "node n1 has none of the addresses that nodePortAddresses asks for: 10.0.0.0/8"},
		{"10.0.0.1/8", `"10.0.0.1/8" is no CIDR`},
		{"secondary", `"secondary" is no CIDR`},
		{"", "nothing"},
	}
	for _, tt := range tests {
		var chosen NodePortAddresses
		got := ""
		if err := chosen.UnmarshalText([]byte(tt.text)); err != nil {
			got = err.Error()
		} else if addresses, err := chosen.of(n); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(addresses)
		}
		if got != tt.want {
			t.Errorf("%q chooses %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestReason(t *testing.T) {
	long := reason("annotation: " + strings.Repeat("ä", 200))
	if len(long) > maxReason || !strings.HasSuffix(long, "ä...") {
		t.Errorf("a long reason became %q of %d bytes", long, len(long))
	}
	if got, want := reason("\x00a\"b\\c\nd\xff "), "a'b'c d?"; got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
}

// TestTrim checks that what is kept is all that the conversion uses, and that
// trimming twice is trimming once.
func TestTrim(t *testing.T) {
	svc := service("web", 30080, annotated(annotationWeights, "n1=1"), annotated("kubectl.kubernetes.io/last-applied-configuration", "{}"))
	svc.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	svc.Labels = map[string]string{labelProxyName: "x", "app": "web"}
	eps := slice("web-1", "web", "10.1.0.1@n1 terminating serving")
	eps.Endpoints[0].Addresses = append(eps.Endpoints[0].Addresses, "10.1.0.9")
	eps.Endpoints[0].TargetRef = &corev1.ObjectReference{Name: "pod"}
	eps.ResourceVersion = "7"
	eps.Annotations = map[string]string{corev1.EndpointsLastChangeTriggerTime: "2025-11-24T13:38:23.5Z"}
	for _, o := range []any{svc, eps, withLabel(node("n1", "192.0.2.1"), "a", "b")} {
		once, err := trim(o)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := trim(once)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once, twice, cmp.AllowUnexported(keptService{}, servicePort{}, keptSlice{}, identity{}, keptPort{}, keptEndpoint{}), cmp.Comparer(equalAddr)); diff != "" {
			t.Errorf("%T: -once +twice\n%s", o, diff)
		}
		text := fmt.Sprintf("%+v", once)
		for _, gone := range []string{"kubectl", "app", "10.1.0.9", "pod", "last-change"} {
			if strings.Contains(text, gone) {
				t.Errorf("%T still has %s: %s", o, gone, text)
			}
		}
	}
	if kept, err := trim("anything else"); kept != "anything else" || err != nil {
		t.Errorf("trim changed what it does not know: %v, %v", kept, err)
	}
	kept := trimSlice(eps)
	want := keptEndpoint{netip.MustParseAddr("10.1.0.1"), "n1", finishing}
	if kept.endpoints[0] != want || kept.texts != nil || kept.service != "web" || kept.triggered.Nanosecond() != 5e8 {
		t.Errorf("the slice lost something: %+v", kept)
	}
	if of, err := meta.Accessor(kept); err != nil || of.GetNamespace() != "shop" || of.GetName() != "web-1" || of.GetResourceVersion() != "7" {
		t.Errorf("client-go does not know the slice: %v, %v", of, err)
	}
}

func equalAddr(a, b netip.Addr) bool { return a == b }

// TestEndpointsAreSmall checks what a cluster with tens of thousands of endpoints
// depends on.
func TestEndpointsAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(keptEndpoint{}); size > 48 {
		t.Errorf("an endpoint takes %d bytes, want at most 48", size)
	}
	plain, odd := trimSlice(slice("web-1", "web", "10.1.0.1@n1")), trimSlice(slice("web-2", "web", "fd00:0::1@n1", "fd00::2@n1"))
	if plain.text(0) != "" || odd.text(0) != "fd00:0::1" || odd.text(1) != "fd00::2" {
		t.Errorf("texts are %q, %q", plain.texts, odd.texts)
	}
}

// TestClientLogOfKlog has klog write what client-go has to say.
func TestClientLogOfKlog(t *testing.T) {
	var b bytes.Buffer
	to := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})).With("component", "client-go")
	TakeKlog(to)
	defer klog.ClearLogger()
	klog.Infof("a %s", "remark")
	klog.InfoS("another remark", "node", "n1")
	klog.Warning("a warning")
	klog.Errorf("an error [%d] of old", 1)
	klog.ErrorS(errors.New("gone"), "an error", "node", "n1")
	klog.FromContext(t.Context()).Error(errors.New("lost"), "an error with a context")
	klog.Flush()
	var got []string
	for line := range strings.Lines(b.String()) {
		var said struct{ Level, Msg, Component, Node, Err string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if said.Component != "client-go" {
			t.Errorf("no component: %s", line)
		}
		got = append(got, strings.TrimSpace(said.Level+" "+said.Msg+" "+said.Node+" "+said.Err))
	}
	want := []string{"DEBUG a remark", "DEBUG another remark n1", "WARN a warning", "ERROR an error [1] of old", "ERROR an error n1 gone", "ERROR an error with a context  lost"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestClientLog(t *testing.T) {
	var b bytes.Buffer
	log := ClientLog(slog.New(slog.NewTextHandler(&b, nil))).With("a", 1).WithGroup("g")
	log.Info("remark")
	log.Warn("warning", "b", 2)
	if got := b.String(); strings.Contains(got, "remark") || !strings.Contains(got, "level=WARN msg=warning a=1 g.b=2") {
		t.Errorf("log = %q, want the warning alone", got)
	}
}
