package kube

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/client-go/rest"
)

// TestNoAPIServer runs a Source whose API server is not ready, and ends it. How
// a Source follows a real one is tested in package e2e.
func TestNoAPIServer(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	asked := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.UserAgent(), "weft") || !strings.HasPrefix(r.Header.Get("Accept"), "application/") {
			t.Errorf("request by %q for %q", r.UserAgent(), r.Header.Get("Accept"))
		}
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		asked <- struct{}{}
	}))
	defer server.Close()
	var log safeBuffer
	config := config()
	config.Events = true
	s, err := New(config, &rest.Config{Host: server.URL, UserAgent: "weft/test"}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { t.Error("something is said to be new") }) }()
	<-asked
	<-asked // it asks again
	if s.State() != nil {
		t.Error("there is a state without an API server")
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want the error of the context", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run does not end")
	}
	if got := strings.Count(log.String(), "API server does not tell"); got != 1 {
		t.Errorf("said %d times, want once:\n%s", got, log.String())
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
