package kube

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestEventsAreFew makes a hundred Services wrong at once: their owners are told
// by so many Events that the API server does not notice.
func TestEventsAreFew(t *testing.T) {
	var made atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/apis/events.k8s.io/v1/namespaces/shop/events" {
			t.Errorf("got %s %s, want an Event made in the Service's namespace", r.Method, r.URL.Path)
		}
		made.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"kind":"Event","apiVersion":"events.k8s.io/v1"}`)
	}))
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	e := newEvents(client, "n1")
	if err := e.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.stop()
	for i := range 100 {
		e.warn(service(fmt.Sprintf("web-%d", i), 30000+int32(i)), errors.New("wrong"))
	}
	for deadline := time.Now().Add(10 * time.Second); made.Load() < eventBurst && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	if got := made.Load(); got != eventBurst {
		t.Errorf("%d Events made, want %d", got, eventBurst)
	}
}
