package lab_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

// A connection over a far link takes two ways of it, no less, and one over a link
// that is cut takes for ever.
func TestFar(t *testing.T) {
	a, b := labtest.Scratch(t), labtest.Scratch(t)
	far, err := lab.Between(a, b, "far0", netip.MustParsePrefix("10.99.0.1/24"), netip.MustParsePrefix("10.99.0.2/24"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := far.Close(); err != nil {
			t.Error(err)
		}
	}()
	server, err := lab.Serve(b, netip.MustParseAddrPort("10.99.0.2:80"), "b")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
		far.SetDelay(delay)
		took, err := connect(t, a, 5*time.Second)
		if err != nil {
			t.Fatalf("delay %v: %v", delay, err)
		}
		if took < 2*delay {
			t.Errorf("delay %v: connected after %v", delay, took)
		}
	}
	far.Cut(true)
	if _, err := connect(t, a, 300*time.Millisecond); err == nil {
		t.Error("connected over a link that is cut")
	}
}

func connect(t *testing.T, ns *lab.Namespace, timeout time.Duration) (took time.Duration, err error) {
	t.Helper()
	err = ns.Do(func() error {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", "10.99.0.2:80")
		took = time.Since(start)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return took, err
}
