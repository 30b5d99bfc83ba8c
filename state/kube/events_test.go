package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
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
	e := runEvents(t, server)
	for i := range 100 {
		e.warn(trimService(service(fmt.Sprintf("web-%d", i), 30000+int32(i))), errors.New("wrong"))
	}
	for deadline := time.Now().Add(10 * time.Second); made.Load() < eventBurst && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	if got := made.Load(); got != eventBurst {
		t.Errorf("%d Events made, want %d", got, eventBurst)
	}
}

// runEvents sends Events to a server until the test ends.
func runEvents(t *testing.T, server *httptest.Server) *events {
	t.Helper()
	client, err := newAPI(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	e := newEvents(client, "n1", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run = %v, want the error of the context", err)
		}
	})
	return e
}

// TestEventIsSentUntilTaken has an API server that is not well at first, and a
// problem that is longer than a note may be.
func TestEventIsSentUntilTaken(t *testing.T) {
	taken := make(chan eventsv1.Event, 2)
	var tries atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		var event eventsv1.Event
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		taken <- event
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"kind":"Event","apiVersion":"events.k8s.io/v1"}`)
	}))
	defer server.Close()
	runEvents(t, server).warn(trimService(service("web", 30000)), errors.New(strings.Repeat("é", noteLimit)))
	select {
	case got := <-taken:
		if got.Regarding.Kind != "Service" || got.Regarding.Name != "web" || got.ReportingInstance != "n1" || got.EventTime.IsZero() {
			t.Errorf("event %+v", got)
		}
		if !strings.HasPrefix(got.Note, "left to kube-proxy: é") || len(got.Note) > noteLimit || strings.Trim(got.Note, "é") != "left to kube-proxy: " {
			t.Errorf("note of %d bytes: %q", len(got.Note), got.Note)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no event after %d tries", tries.Load())
	}
}
