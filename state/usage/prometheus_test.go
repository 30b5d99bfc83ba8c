package usage

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/config"

	"weft/state"
)

const vector = `{"status":"success","data":{"resultType":"vector","result":[
{"metric":{"weft":"ratio","instance":"10.0.0.0:9100"},"value":[1700000000,"0.25"]},
{"metric":{"weft":"age","instance":"10.0.0.0:9100"},"value":[1700000000,"7"]},
{"metric":{"weft":"cores","instance":"10.0.0.0:9100"},"value":[1700000000,"8"]}]}}`

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangs answers when the client has gone, which a server notices once it has read
// the question.
func hangs(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// asking is a Prometheus that is about the first n nodes.
func asking(t *testing.T, o Options, n int) *Prometheus {
	t.Helper()
	if o.Query == "" {
		o.Query, o.Age, o.Cores = DefaultQuery, DefaultAge, DefaultCores
	}
	o.Interval, o.Timeout = DefaultInterval, 5*time.Second
	p, err := NewPrometheus(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	p.nodes = nodes(n)
	return p
}

func TestAsk(t *testing.T) {
	cases := []struct {
		name    string
		handler http.HandlerFunc
		known   bool
		err     string
	}{
		{"as it should be", answers(200, vector), true, ""},
		{"empty", answers(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`), false, "Prometheus has no series for node-0"},
		{"a warning with it", answers(200, `{"status":"success","warnings":["half of it is down"],"data":{"resultType":"vector","result":[]}}`), false, "no series for node-0; Prometheus warns: half of it is down"},
		{"a scalar", answers(200, `{"status":"success","data":{"resultType":"scalar","result":[1700000000,"1"]}}`), false, "got a scalar, expected a vector"},
		{"a matrix", answers(200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), false, "got a matrix, expected a vector"},
		{"a page", answers(200, `<html>welcome</html>`), false, "invalid character '<'"},
		{"nothing", answers(200, ``), false, "unexpected end"},
		{"half an answer", answers(200, vector[:100]), false, "unexpected end"},
		{"another type", answers(200, `{"status":"success","data":{"resultType":"cheese","result":[]}}`), false, "cheese"},
		{"an error in the query", answers(400, `{"status":"error","errorType":"bad_data","error":"parse error"}`), false, "bad_data: parse error"},
		{"no right", answers(403, `forbidden`), false, "403"},
		{"broken", answers(500, `oops`), false, "500"},
		{"slow", hangs, false, "deadline exceeded"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			p := asking(t, Options{URL: server.URL}, 1)
			if c.name == "slow" {
				p.options.Timeout = 100 * time.Millisecond
			}
			err := p.ask(t.Context())
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error = %v, want %q", err, c.err)
			}
			measured := nodes(2)
			p.Measure(measured)
			cpu := measured[0].CPU
			if (cpu != nil) != c.known {
				t.Fatalf("CPU = %+v", cpu)
			}
			if cpu != nil && (cpu.Ratio != 0.25 || cpu.Source != "prometheus" || measured[0].Cores != 8 || time.Since(cpu.Measured).Round(time.Minute) != 0) {
				t.Errorf("CPU = %+v, %d cores", cpu, measured[0].Cores)
			}
			if measured[1].CPU != nil {
				t.Error("a node that Prometheus does not know has a CPU use")
			}
		})
	}
}

func TestDown(t *testing.T) {
	server := httptest.NewServer(answers(200, vector))
	p := asking(t, Options{URL: server.URL}, 1)
	if err := p.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if err := p.ask(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error = %v", err)
	}
	measured := nodes(1)
	p.Measure(measured)
	if measured[0].CPU == nil {
		t.Error("what was known is gone at once")
	}
}

// One query asks for everything, and is one that a user can read.
func TestQuery(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.FormValue("query")
		answers(200, vector)(w, r)
	}))
	defer server.Close()
	p := asking(t, Options{URL: server.URL, Query: "my_load", Age: "my_age"}, 1)
	if err := p.ask(t.Context()); err != nil {
		t.Error(err)
	}
	if want := `label_replace(my_load, "weft", "ratio", "", "") or label_replace(my_age, "weft", "age", "", "")`; got != want {
		t.Errorf("query = %s\nwant    %s", got, want)
	}
}

// Credentials go to where the URL says, and files that hold them are read again.
func TestCredentials(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token, "first\n")
	var mu sync.Mutex
	want := "Bearer first"
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != want {
			answers(401, "who are you?")(w, r)
			return
		}
		answers(200, vector)(w, r)
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // some handshakes are meant to fail
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	trusted := config.TLSConfig{CAFile: ca, ServerName: "example.com"}
	cases := []struct {
		name   string
		client config.HTTPClientConfig
		expect string
		err    string
	}{
		{"bearer token", config.HTTPClientConfig{TLSConfig: trusted, Authorization: &config.Authorization{Type: "Bearer", CredentialsFile: token}}, "Bearer first", ""},
		{"basic", config.HTTPClientConfig{TLSConfig: trusted, BasicAuth: &config.BasicAuth{Username: "weft", PasswordFile: token}}, "Basic d2VmdDpmaXJzdA==", ""},
		{"none", config.HTTPClientConfig{TLSConfig: trusted}, "Bearer first", "401"},
		{"unknown CA", config.HTTPClientConfig{}, "", "certificate"},
		{"another name", config.HTTPClientConfig{TLSConfig: config.TLSConfig{CAFile: ca, ServerName: "other.example"}}, "", "other.example"},
		{"not verified", config.HTTPClientConfig{TLSConfig: config.TLSConfig{InsecureSkipVerify: true}}, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			mu.Lock()
			want = c.expect
			mu.Unlock()
			err := asking(t, Options{URL: server.URL, Client: c.client}, 1).ask(t.Context())
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error = %v, want %q", err, c.err)
			}
		})
	}
	p := asking(t, Options{URL: server.URL, Client: cases[0].client}, 1)
	write(token, "second")
	want = "Bearer second"
	if err := p.ask(t.Context()); err != nil {
		t.Errorf("a token that was renewed: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{URL: "prometheus:9090"}, `got "prometheus:9090" as the URL`},
		{Options{URL: ""}, `got "" as the URL`},
		{Options{URL: "http://"}, `got "http://" as the URL`},
		{Options{URL: "http://a", Client: config.HTTPClientConfig{TLSConfig: config.TLSConfig{CAFile: "/does/not/exist"}}}, "/does/not/exist"},
	} {
		if _, err := NewPrometheus(c.o, slog.Default()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error = %v, want %q", c.o, err, c.want)
		}
	}
}

// transport answers without a network, which a bubble of synctest does not have.
type transport struct {
	mu    sync.Mutex
	asked int
	body  string
	err   error
}

func (f *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.err != nil {
		return nil, f.err
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(f.body)), Request: r}, nil
}

func (f *transport) times() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *transport) set(body string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.body, f.err = body, err
}

// It asks as soon as it knows of nodes and every ten seconds then; what it said is
// forgotten a minute later; and what is wrong is said once.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &transport{body: vector}
		p, err := newPrometheus(Options{URL: "http://p", Query: DefaultQuery, Age: DefaultAge, Interval: DefaultInterval, Timeout: DefaultTimeout}, f, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx, func() {}) }()
		at := func(d time.Duration) *state.CPU {
			time.Sleep(time.Until(start.Add(d)))
			synctest.Wait()
			measured := nodes(1)
			p.Measure(measured)
			return measured[0].CPU
		}
		if cpu := at(3 * time.Second); cpu != nil || f.times() != 0 {
			t.Errorf("CPU = %+v, asked %d times before there is a node", cpu, f.times())
		}
		p.Aim(&state.State{Node: "node-0", Nodes: nodes(2)})
		first := at(3 * time.Second)
		if first == nil || !first.Measured.Equal(start.Add(-4*time.Second)) {
			t.Fatalf("CPU = %+v at once, want one that is 7 s old", first)
		}
		f.set("", errors.New("down"))
		if cpu := at(45 * time.Second); cpu == nil || f.times() != 5 {
			t.Errorf("CPU = %+v, asked %d times after 45 s", cpu, f.times())
		}
		if cpu := at(57 * time.Second); cpu != nil {
			t.Errorf("CPU = %+v is more than a minute old", cpu)
		}
		f.set(vector, nil)
		if cpu := at(61 * time.Second); cpu == nil {
			t.Error("not known again")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "down") || !strings.Contains(log.String(), "again") {
			t.Errorf("log of %d lines, want two:\n%s", n, &log)
		}
	})
}

// The time of a sample that is told again stays what it was.
func TestSameSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		age := 7.0
		f := &transport{}
		p, err := newPrometheus(Options{URL: "http://p", Query: DefaultQuery, Age: DefaultAge, Timeout: time.Second}, f, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		p.nodes = nodes(1)
		tell := func(age, ratio float64) time.Time {
			f.set(fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[
{"metric":{"weft":"ratio","instance":"10.0.0.0:9100"},"value":[1,"%v"]},{"metric":{"weft":"age","instance":"10.0.0.0:9100"},"value":[1,"%v"]}]}}`, ratio, age), nil)
			if err := p.ask(t.Context()); err != nil {
				t.Fatal(err)
			}
			measured := nodes(1)
			p.Measure(measured)
			return measured[0].CPU.Measured
		}
		first := tell(age, 0.5)
		time.Sleep(10 * time.Second)
		if again := tell(age+10.013, 0.5); !again.Equal(first) {
			t.Errorf("the same sample is of %v and of %v", first, again)
		}
		if next := tell(age-5, 0.5); next.Equal(first) {
			t.Error("a new sample with the same value is not new")
		}
	})
}
