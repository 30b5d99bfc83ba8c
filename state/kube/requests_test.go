package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
)

// asked notes what an API server is asked for that has every resource and tells
// nothing of them.
type asked struct {
	mu       sync.Mutex
	requests map[string]bool
	plain    []string // requests that would be answered in something else than protobuf
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/apis/") && strings.Count(r.URL.Path, "/") == 3 { // discovery
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(metav1.APIResourceList{
			TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
			GroupVersion: "networking.k8s.io/v1", APIResources: []metav1.APIResource{{Name: "servicecidrs"}},
		})
		return
	}
	a.note(r)
	w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done() // as a watch that has nothing to tell
}

func (a *asked) note(r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q, verb := r.URL.Query(), "list"
	switch {
	case q.Get("sendInitialEvents") == "true" && q.Get("resourceVersionMatch") == "NotOlderThan" && q.Get("allowWatchBookmarks") == "true":
		verb = "watch-list"
	case q.Get("watch") != "":
		verb = "watch"
	}
	line := verb + " " + r.URL.Path
	for _, selector := range []string{"fieldSelector", "labelSelector"} {
		if q.Get(selector) != "" {
			line += " " + q.Get(selector)
		}
	}
	a.requests[line] = true
	if !strings.HasPrefix(r.Header.Get("Accept"), "application/vnd.kubernetes.protobuf") {
		a.plain = append(a.plain, fmt.Sprintf("%s as %q", line, r.Header.Get("Accept")))
	}
}

// TestRequests looks at what is asked of the API server first: watch-lists, in
// protobuf, of what is in scope. How they are answered is tested in package e2e.
func TestRequests(t *testing.T) {
	const services, slicesPath = "/services spec.type!=ClusterIP,spec.type!=ExternalName", "/endpointslices !service.kubernetes.io/headless"
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"everything", func(*Config) {}, []string{
			"watch-list /api/v1/nodes",
			"watch-list /api/v1" + services,
			"watch-list /apis/discovery.k8s.io/v1" + slicesPath,
			"watch-list /apis/networking.k8s.io/v1/servicecidrs",
		}},
		{"two namespaces and a label", func(c *Config) {
			c.Namespaces, c.Selector = []string{"a", "b"}, labels.SelectorFromSet(labels.Set{"tier": "web"})
		}, []string{
			"watch-list /api/v1/namespaces/a" + services + " tier=web",
			"watch-list /api/v1/namespaces/b" + services + " tier=web",
			"watch-list /api/v1/nodes",
			"watch-list /apis/discovery.k8s.io/v1/namespaces/a" + slicesPath,
			"watch-list /apis/discovery.k8s.io/v1/namespaces/b" + slicesPath,
			"watch-list /apis/networking.k8s.io/v1/servicecidrs",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := &asked{requests: map[string]bool{}}
			server := httptest.NewServer(to)
			defer server.Close()
			config := config()
			tt.change(&config)
			s, err := New(config, &rest.Config{Host: server.URL}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx, func() {}) }()
			got := to.await(len(tt.want))
			cancel()
			<-ended
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if len(to.plain) > 0 {
				t.Errorf("not in protobuf: %v", to.plain)
			}
		})
	}
}

// await waits for n different requests, for a while, and returns them sorted.
func (a *asked) await(n int) []string {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a.mu.Lock()
		got := slices.Sorted(maps.Keys(a.requests))
		a.mu.Unlock()
		if len(got) >= n || time.Now().After(deadline) {
			return got
		}
	}
}
