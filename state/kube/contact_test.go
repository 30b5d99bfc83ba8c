package kube

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// transport answers as the test says.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// TestContact opens and ends watches, and asks since when nothing was heard.
func TestContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, back, failures := time.Now(), 0, 0
		status := http.StatusOK
		c := &contact{want: 2, lines: map[string]*line{}, back: func() { back++ }, failed: func(error) { failures++ }, next: transport(func(*http.Request) (*http.Response, error) {
			if status == 0 {
				return nil, errors.New("refused")
			}
			return &http.Response{StatusCode: status, Body: io.NopCloser(&endless{})}, nil
		})}
		watch := func(path string) io.Closer {
			response, err := c.RoundTrip(httptest.NewRequest(http.MethodGet, path, nil))
			if err != nil {
				t.Fatal(err)
			}
			return response.Body
		}
		check := func(what string, since time.Duration, wantBack int) {
			t.Helper()
			got := time.Duration(0)
			if at := c.since(); !at.IsZero() {
				got = at.Sub(start)
			}
			if got != since || back != wantBack {
				t.Errorf("%s: heard of all until %v, back %d times; want %v, %d", what, got, back, since, wantBack)
			}
			time.Sleep(time.Second)
		}
		services := watch("/api/v1/services?watch=true")
		check("one watch", 0, 0)
		watch("/api/v1/nodes?watch=true&timeoutSeconds=300")
		watch("/api/v1/nodes")
		check("both watches", 0, 1)
		services.Close()
		services.Close()
		check("one ended", 2*time.Second, 1)
		status = http.StatusForbidden
		watch("/api/v1/services?watch=true")
		check("refused", 2*time.Second, 1)
		status = 0
		if _, err := c.RoundTrip(httptest.NewRequest(http.MethodGet, "/api/v1/services?watch=true", nil)); err == nil || failures != 1 {
			t.Errorf("no answer: %v, told %d times, want an error that was told once", err, failures)
		}
		status = http.StatusOK
		services = watch("/api/v1/services?watch=true")
		check("again", 0, 2)
		another := watch("/api/v1/services?watch=true")
		services.Close()
		check("one of two watches of the same", 0, 2)
		another.Close()
		check("both ended", 6*time.Second, 2)
	})
}

type endless struct{}

func (*endless) Read(b []byte) (int, error) { return len(b), nil }

// broken gives the error that it is.
type broken struct{ error }

func (b broken) Read([]byte) (int, error) { return 0, b.error }

// TestLostConnectionIsSaid: an end of a watch is no failure, unless the way to the
// API server is gone.
func TestLostConnectionIsSaid(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{io.EOF, 0},
		{errors.New("http2: server sent GOAWAY and closed the connection"), 0},
		{errors.New("http2: client connection lost"), 1},
	} {
		failures := 0
		c := &contact{lines: map[string]*line{}, failed: func(error) { failures++ }, next: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(broken{tt.err})}, nil
		})}
		response, err := c.RoundTrip(httptest.NewRequest(http.MethodGet, "/api/v1/nodes?watch=true", nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(response.Body); (err == nil) != errors.Is(tt.err, io.EOF) || failures != tt.want || c.since().IsZero() {
			t.Errorf("%v: told %d times, want %d; not heard since %v", tt.err, failures, tt.want, c.since())
		}
	}
}
