package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weft/examples/lab/labtest"
	"weft/state"
)

// serve is an HTTP server on the loopback that answers with a status after a while,
// and counts the connections that it got.
type server struct {
	*httptest.Server
	mu          sync.Mutex
	connections int
	paths       map[string]int
}

func serve(t *testing.T, status int, after time.Duration) *server {
	t.Helper()
	s := &server{paths: map[string]int{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.paths[r.Host+r.URL.String()]++
		s.mu.Unlock()
		time.Sleep(after)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			s.mu.Lock()
			s.connections++
			s.mu.Unlock()
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *server) addr() netip.AddrPort { return netip.MustParseAddrPort(s.Listener.Addr().String()) }

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// closed is an address that refuses connections.
func closed(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestConnect(t *testing.T) {
	good, slow, broken, moved := serve(t, 200, 0), serve(t, 204, 30*ms), serve(t, 500, 0), serve(t, 302, 0)
	refuses := closed(t)
	const patience = 5 * time.Second
	cases := []struct {
		name      string
		prober    Prober
		endpoints []netip.AddrPort
		least     time.Duration
		err       string
	}{
		{"tcp", TCP{patience}, []netip.AddrPort{good.addr()}, 1, ""},
		{"tcp to one that refuses", TCP{patience}, []netip.AddrPort{refuses}, 0, "probe by tcp: no answer to 3 probes: dial " + refuses.String() + ": connect: connection refused"},
		{"tcp, one of two refuses", TCP{patience}, []netip.AddrPort{refuses, good.addr()}, 1, ""},
		{"tcp to nothing", TCP{patience}, nil, 0, ErrNothingToProbe.Error()},
		{"http", HTTP{Timeout: patience}, []netip.AddrPort{good.addr()}, 1, ""},
		{"http waits for the answer", HTTP{Timeout: patience, Path: "/healthz?full=1"}, []netip.AddrPort{slow.addr()}, 30 * ms, ""},
		{"http, a redirect is an answer", HTTP{Timeout: patience}, []netip.AddrPort{moved.addr()}, 1, ""},
		{"http, an error is none", HTTP{Timeout: patience}, []netip.AddrPort{broken.addr()}, 0, "probe by http: no answer to 3 probes: answered 500 Internal Server Error"},
		{"http to one that refuses", HTTP{Timeout: patience}, []netip.AddrPort{refuses}, 0, "connection refused"},
		{"http too slow", HTTP{Timeout: 5 * ms}, []netip.AddrPort{slow.addr()}, 0, "deadline exceeded"},
		{"http to nothing", HTTP{Timeout: patience}, nil, 0, ErrNothingToProbe.Error()},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			round, err := c.prober.Round(t.Context(), Target{Node: "n", Endpoints: c.endpoints})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error = %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || round.Value < c.least || round.Value > patience || round.Source != strings.Fields(strings.ReplaceAll(c.name, ",", " "))[0] {
				t.Errorf("round = %+v, %v, want at least %v", round, err, c.least)
			}
		})
	}
	slow.mu.Lock()
	defer slow.mu.Unlock()
	if n := slow.paths[slow.addr().String()+"/healthz?full=1"]; n != 3 || slow.connections < 3 {
		t.Errorf("asked %v over %d connections, want three times over one each", slow.paths, slow.connections)
	}
}

// A round asks three different endpoints, and in the end every one.
func TestRotation(t *testing.T) {
	var servers []*server
	var endpoints []netip.AddrPort
	for range 4 {
		s := serve(t, 200, 0)
		servers, endpoints = append(servers, s), append(endpoints, s.addr())
	}
	for range 8 {
		if _, err := (TCP{5 * time.Second}).Round(t.Context(), Target{Node: "n", Endpoints: endpoints}); err != nil {
			t.Fatal(err)
		}
	}
	sum := 0
	for end := time.Now().Add(5 * time.Second); sum < 24 && time.Now().Before(end); time.Sleep(ms) {
		sum = 0
		for _, s := range servers {
			sum += s.count()
		}
	}
	for i, s := range servers {
		// Each is among the three of a round three times out of four.
		if n := s.count(); sum != 24 || n == 0 || n > 8 {
			t.Errorf("endpoint %d got %d of %d connections", i, n, sum)
		}
	}
}

// An answer that is no slower than usual says all that a round would.
func TestUsualAnswer(t *testing.T) {
	s, a := serve(t, 200, 0), newAgents(t)
	one, _ := a.start(0, Options{})
	var asked atomic.Int32
	a.start(1, Options{Usage: func() (*state.CPU, int) { asked.Add(1); return nil, 0 }})
	agents := func() int { return int(asked.Load()) }
	patience := 5 * time.Second
	cases := []struct {
		name   string
		prober Prober
		usual  time.Duration
		count  func() int
		want   int
	}{
		{"tcp", TCP{patience}, patience, s.count, 1},
		{"tcp, slower than usual", TCP{patience}, 1, s.count, 3},
		{"tcp, nothing is usual yet", TCP{patience}, 0, s.count, 3},
		{"peer", one, patience, agents, 1},
		{"peer, slower than usual", one, 1, agents, 3},
	}
	for _, c := range cases {
		before := c.count()
		to := a.target(1)
		to.Endpoints, to.Usual = []netip.AddrPort{s.addr()}, c.usual
		if _, err := c.prober.Round(t.Context(), to); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for end := time.Now().Add(patience); c.count()-before < c.want && time.Now().Before(end); {
			time.Sleep(ms)
		}
		if n := c.count() - before; n != c.want {
			t.Errorf("%s: %d probes, want %d", c.name, n, c.want)
		}
	}
}

func TestUsualPing(t *testing.T) {
	labtest.RequireKernel(t) // for a raw socket
	to := Target{Node: "n", Address: netip.MustParseAddr("127.0.0.1")}
	for usual, want := range map[time.Duration]int{5 * time.Second: 1, 1: 3} {
		to.Usual = usual
		answers, err := (&ICMP{Timeout: 5 * time.Second}).ping(t.Context(), to, true)
		if err != nil || len(answers) != want {
			t.Errorf("usual is %v: %d pings, %v, want %d", usual, len(answers), err, want)
		}
	}
}

// A path cannot lead elsewhere.
func TestPathStays(t *testing.T) {
	s := serve(t, 200, 0)
	for _, path := range []string{"http://192.0.2.1/x", "//192.0.2.1/x", "x", "/x"} {
		h := HTTP{Timeout: 5 * time.Second, Path: path}
		if _, err := h.Round(t.Context(), Target{Node: "n", Endpoints: []netip.AddrPort{s.addr()}}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if n := s.paths[s.addr().String()+"/x"]; n != 12 {
		t.Errorf("asked %v, want /x each time", s.paths)
	}
}

func TestFallback(t *testing.T) {
	silent, deaf := errors.New("silent"), errors.New("deaf")
	type asked struct{ first, second int }
	good := func(source string) func(int) (Round, error) {
		return func(int) (Round, error) { return Round{Value: 1, Source: source}, nil }
	}
	fails := func(err error) func(int) (Round, error) {
		return func(int) (Round, error) { return Round{}, err }
	}
	cases := []struct {
		name          string
		first, second func(n int) (Round, error)
		rounds        int
		source        string // of the last
		err           error
		want          asked
	}{
		{"the first answers", good("peer"), good("tcp"), 5, "peer", nil, asked{5, 0}},
		{"it does not", fails(silent), good("tcp"), 3, "tcp", nil, asked{3, 3}},
		{"it is asked less and less", fails(silent), good("tcp"), 25, "tcp", nil, asked{5, 25}},
		{"neither answers", fails(silent), fails(deaf), 9, "", deaf, asked{9, 9}},
		{"nothing else to ask", fails(silent), fails(ErrNothingToProbe), 9, "", silent, asked{9, 9}},
		{"no socket here", fails(errNoSocket), fails(deaf), 9, "", deaf, asked{9, 9}},
		{"nothing at all to ask", fails(errNoSocket), fails(ErrNothingToProbe), 9, "", ErrNothingToProbe, asked{9, 9}},
		{"a node that went is asked by both when it is back", fails(silent), func(n int) (Round, error) {
			if n == 5 {
				return Round{}, deaf
			}
			return Round{Value: 1, Source: "tcp"}, nil
		}, 6, "tcp", nil, asked{4, 6}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got asked
			f := NewFallback(
				proberFunc(func() (Round, error) { got.first++; return c.first(got.first) }),
				proberFunc(func() (Round, error) { got.second++; return c.second(got.second) }))
			var round Round
			var err error
			for range c.rounds {
				round, err = f.Round(t.Context(), Target{Node: "n"})
			}
			if round.Source != c.source || !errors.Is(err, c.err) || errors.Is(err, ErrNothingToProbe) != errors.Is(c.err, ErrNothingToProbe) || got != c.want {
				t.Errorf("round = %+v, %v, asked %+v, want %q, %v, %+v", round, err, got, c.source, c.err, c.want)
			}
		})
	}
}

type proberFunc func() (Round, error)

func (f proberFunc) Round(context.Context, Target) (Round, error) { return f() }
