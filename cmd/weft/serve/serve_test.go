package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weft/cmd/weft/serve"
	"weft/state"
	"weft/state/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// running is a server at work.
type running struct {
	t    *testing.T
	log  buffer
	stop func()
}

func run(t *testing.T, s *serve.Server) *running {
	t.Helper()
	r := &running{t: t}
	s.Log = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *running) says(text string) {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); !strings.Contains(r.log.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("nobody says %q:\n%s", text, r.log.String())
		}
	}
}

// freePort is one that nobody listens on right now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func ask(t *testing.T, client *http.Client, method, url, host string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		request.Host = host
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func client(t *testing.T) *http.Client {
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func through(t *testing.T, socket string) *http.Client {
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestHealth(t *testing.T) {
	recorder := status.New("n1", "weft run", "", status.Watcher, status.Applier)
	address := freePort(t)
	r := run(t, &serve.Server{Recorder: recorder, Listen: address, Node: "n1"})
	r.says("answering")
	c := client(t)
	check := func(path string, code int, text string) {
		t.Helper()
		if gotCode, got := ask(t, c, "GET", "http://"+address+path, ""); gotCode != code || !strings.HasPrefix(got, text) {
			t.Errorf("%s answers %d %q, want %d %q", path, gotCode, got, code, text)
		}
	}
	check("/livez", 200, "ok\n")
	check("/readyz", 503, "the source has not told all yet, no state was written (for 0s)\nno rules were proven yet (for 0s)\n")
	st := &state.State{Generation: 7}
	recorder.Written(st)
	recorder.Proven(&status.Rules{State: st})
	check("/readyz", 200, "ok\n")
	check("/healthz", 200, "ok\n")
	recorder.Failed(status.Read, errors.New("state.yaml:1:\n no"))
	check("/livez", 200, "ok\n")
	check("/readyz", 200, "ok\n")
	check("/healthz", 503, "read: state.yaml:1: no (for 0s)\n")
	recorder.Alive(status.Applier, -time.Second)
	check("/livez", 503, "the applier does not move (for 1s)\n")
	check("/nothing", 404, "404")
	if code, _ := ask(t, c, "POST", "http://"+address+"/livez", ""); code != 405 {
		t.Errorf("POST answers %d, want 405: all is read only", code)
	}
}

// TestNames is what a web site in a browser of this machine could try.
func TestNames(t *testing.T) {
	address := freePort(t)
	r := run(t, &serve.Server{Recorder: status.New("n1", "", ""), Listen: address, Node: "Node-1"})
	r.says("answering")
	_, port, _ := net.SplitHostPort(address)
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "[::1]:" + port: 200, "localhost:" + port: 200, "localhost": 200, "node-1:" + port: 200,
		"evil.example:" + port: 403, "evil.example": 403, "localhost.evil.example": 403,
	} {
		if code, _ := ask(t, client(t), "GET", "http://"+address+"/livez", host); code != want {
			t.Errorf("host %s: %d, want %d", host, code, want)
		}
	}
}

func TestSocket(t *testing.T) {
	recorder := status.New("n1", "weft run", "v1", status.Applier)
	recorder.Wanted(&state.State{Generation: 9})
	path := filepath.Join(t.TempDir(), "new", "weft.sock")
	r := run(t, &serve.Server{Recorder: recorder, Socket: path})
	r.says("answering")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v; want 0660", info.Mode(), err)
	}
	_, text := ask(t, through(t, path), "GET", "http://weft"+serve.StatusPath, "")
	var report status.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil || report.Rules.Wanted != 9 || report.Agent.Command != "weft run" {
		t.Errorf("%v: %s", err, text)
	}
	second := run(t, &serve.Server{Recorder: recorder, Socket: path})
	second.says("another weft answers on " + path)
	second.stop()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the second took the first one's socket away: %v", err)
	}
	r.stop()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
}

// TestSocketOfTheDead is replaced, and what is no socket is not.
func TestSocketOfTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weft.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	r := run(t, &serve.Server{Recorder: status.New("n1", "", ""), Socket: path})
	r.says("answering")
	r.stop()

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = run(t, &serve.Server{Recorder: status.New("n1", "", ""), Socket: path})
	r.says("is no socket, so it stays")
	r.stop()
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file is gone: %q %v", text, err)
	}
}

// TestTaken has an address that somebody else has: it is said, and nothing ends.
func TestTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := run(t, &serve.Server{Recorder: status.New("n1", "", ""), Listen: l.Addr().String(), Socket: filepath.Join(t.TempDir(), "s")})
	r.says("address already in use")
	r.says("answering")
}

// TestMetricsAlone is what other machines get.
func TestMetricsAlone(t *testing.T) {
	address := freePort(t)
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	r := run(t, &serve.Server{Recorder: status.New("n1", "", ""), MetricsListen: address, Metrics: hello, Page: hello})
	r.says("answering")
	if code, text := ask(t, client(t), "GET", "http://"+address+"/metrics", "evil.example"); code != 200 || text != "hello" {
		t.Errorf("metrics: %d %q", code, text)
	}
	for _, path := range []string{"/", "/status", "/healthz"} {
		if code, _ := ask(t, client(t), "GET", "http://"+address+path, ""); code != 404 {
			t.Errorf("%s: %d, want 404", path, code)
		}
	}
}

// TestStops has a client that does not let go.
func TestStops(t *testing.T) {
	address := freePort(t)
	r := run(t, &serve.Server{Recorder: status.New("n1", "", ""), Listen: address})
	r.says("answering")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /livez HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	r.stop()
}
