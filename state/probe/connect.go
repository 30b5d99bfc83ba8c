package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/sys/unix"
)

// TCP connects to an endpoint on the node, another one with each probe. It needs
// no right, and works where ICMP is dropped; an endpoint that refuses is a failed
// probe. The endpoint sees connections that end without a byte.
//
// The time is that from the SYN to its answer as the kernel saw it, of which neither
// agent nor endpoint is a part: how long they wait for a processor is no sign of how
// far the node is.
type TCP struct {
	// Timeout is how long a probe waits.
	Timeout time.Duration
}

// Round implements [Prober].
func (p TCP) Round(ctx context.Context, to Target) (Round, error) {
	return connect(ctx, to, p.Timeout, "tcp", least, func(ctx context.Context, endpoint netip.AddrPort) (time.Duration, error) {
		start := time.Now()
		conn, err := dialer().DialContext(ctx, "tcp", endpoint.String())
		if err != nil {
			return 0, err
		}
		took := time.Since(start)
		if seen := roundTrip(conn); seen > 0 {
			took = min(took, seen)
		}
		return took, conn.Close()
	})
}

// roundTrip is how long the answer to a SYN took, by the kernel; 0 is not known, as of
// one that was sent again.
func roundTrip(conn net.Conn) (took time.Duration) {
	socket, ok := conn.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			took = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return took
}

// HTTP asks an endpoint on the node for a page, another endpoint with each probe
// and on a connection of its own, as a new client would: two round trips and the
// time that the endpoint takes. Answers other than 2xx
// and 3xx are failed probes: an error that comes fast is no sign of speed.
type HTTP struct {
	// Timeout is how long a probe waits.
	Timeout time.Duration
	// Path is what to ask for, such as /healthz; empty is /.
	Path string
}

// Round implements [Prober].
func (h HTTP) Round(ctx context.Context, to Target) (Round, error) {
	transport := &http.Transport{DialContext: dialer().DialContext, DisableKeepAlives: true}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return connect(ctx, to, h.Timeout, "http", median, func(ctx context.Context, endpoint netip.AddrPort) (time.Duration, error) {
		start := time.Now()
		err := h.get(ctx, client, endpoint)
		return time.Since(start), err
	})
}

func (h HTTP) get(ctx context.Context, client *http.Client, endpoint netip.AddrPort) error {
	at := url.URL{Scheme: "http", Host: endpoint.String(), Path: "/"}
	page, err := at.Parse(h.Path)
	if err != nil {
		return fmt.Errorf("path to probe: %w", err)
	}
	page.Scheme, page.Host = at.Scheme, at.Host // whatever the path says
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "weft-probe")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 399 {
		return fmt.Errorf("answered %s", response.Status)
	}
	return nil
}

// connect makes a round of probes, each to the endpoint after the one before. The
// first is chosen at random, so that in the end every one has its turn.
func connect(ctx context.Context, to Target, timeout time.Duration, source string, choose func([]time.Duration) time.Duration,
	ask func(context.Context, netip.AddrPort) (time.Duration, error),
) (Round, error) {
	n := len(to.Endpoints)
	if n == 0 {
		return Round{}, ErrNothingToProbe
	}
	first := rand.IntN(n)
	answers, err := repeat(ctx, timeout, to.Usual, func(ctx context.Context, i int) (time.Duration, error) {
		took, err := ask(ctx, to.Endpoints[(first+i)%n])
		return took, brief(err)
	})
	if err != nil {
		return Round{}, fmt.Errorf("probe by %s: %w", source, err)
	}
	return Round{Value: choose(answers), Source: source}, nil
}

// brief leaves out what differs from one probe to the next, the own port.
func brief(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		return fmt.Errorf("%s %v: %w", op.Op, op.Addr, op.Err)
	}
	return err
}

// dialer speaks plain TCP: Go asks for multipath TCP otherwise in some versions,
// and a probe should be what a client sends.
func dialer() *net.Dialer {
	d := &net.Dialer{KeepAlive: -1}
	d.SetMultipathTCP(false)
	return d
}
