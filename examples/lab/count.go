package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Answer is what became of one connection.
type Answer struct {
	// Name is the backend's.
	Name string
	// Err is why there is no name.
	Err error
	// Started is when the connection was opened, Took how long the answer took.
	Started time.Time
	Took    time.Duration
}

// Count opens n connections one by one from the namespace, up to concurrency of
// them at a time, and returns how often each backend answered. The error says
// how many got no answer, and why; the counts are good all the same.
//
// Every connection is a new flow to the kernel: TCP connections are reset once
// they are answered, so that none lingers in TIME_WAIT, and UDP takes a source
// port that was not used before (the kernel would send it where the flow before
// it went). So the counts are n independent choices.
func Count(ctx context.Context, ns *Namespace, network string, to netip.AddrPort, n, concurrency int) (map[string]int, error) {
	answers := make([]Answer, n)
	var next atomic.Int64
	err := each(ns, min(n, concurrency), func() error {
		for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
			answers[i] = ask(ctx, ns, network, to)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tally(answers)
}

// Watch opens connections until the context ends, one every interval in each of
// the workers, and hands each answer to out, which must be safe for concurrent
// use. Those that the end of the context cuts off are not handed out.
func Watch(ctx context.Context, ns *Namespace, network string, to netip.AddrPort, workers int, interval time.Duration, out func(Answer)) error {
	return each(ns, workers, func() error {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			a := ask(ctx, ns, network, to)
			if ctx.Err() != nil {
				return nil
			}
			out(a)
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
}

// each runs f in workers threads of the namespace and waits for them.
func each(ns *Namespace, workers int, f func() error) error {
	var group errgroup.Group
	for range workers {
		group.Go(func() error { return ns.Do(f) })
	}
	return group.Wait()
}

// ask opens one connection on a thread that is in the namespace already.
func ask(ctx context.Context, ns *Namespace, network string, to netip.AddrPort) Answer {
	a := Answer{Started: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	switch network {
	case "tcp":
		a.Name, a.Err = askTCP(ctx, to)
	case "udp":
		a.Name, a.Err = askUDP(ctx, ns, to)
	default:
		a.Err = net.UnknownNetworkError(network)
	}
	a.Took = time.Since(a.Started)
	return a
}

func askTCP(ctx context.Context, to netip.AddrPort) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer bound(ctx, conn)()
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+to.String()+"\r\n\r\n"); err != nil {
		return "", err
	}
	return readAnswer(bufio.NewReader(conn))
}

func readAnswer(r *bufio.Reader) (string, error) {
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("HTTP status %s", response.Status)
	}
	return strings.TrimSpace(string(body)), nil
}

func askUDP(ctx context.Context, ns *Namespace, to netip.AddrPort) (string, error) {
	conn, err := dialUDP(ns, to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer bound(ctx, conn)()
	if _, err := conn.Write([]byte("?")); err != nil {
		return "", err
	}
	var answer [256]byte
	n, err := conn.Read(answer[:])
	return strings.TrimSpace(string(answer[:n])), err
}

// The source ports of UDP go round from lowest to highest, so that one comes
// back only after 64,000 flows.
const (
	lowestPort = 1024
	ports      = 1<<16 - lowestPort
)

// dialUDP connects from the namespace's next free source port.
func dialUDP(ns *Namespace, to netip.AddrPort) (*net.UDPConn, error) {
	for {
		port := lowestPort + ns.flows.Add(1)%ports
		conn, err := net.DialUDP("udp", &net.UDPAddr{Port: int(port)}, net.UDPAddrFromAddrPort(to))
		if !errors.Is(err, syscall.EADDRINUSE) {
			return conn, err
		}
	}
}

// bound makes the context end what the connection waits for.
func bound(ctx context.Context, conn net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // fails only where it is closed already
	})
}

// tally counts names, and says each reason for a failure once.
func tally(answers []Answer) (map[string]int, error) {
	names, reasons, failed := map[string]int{}, map[string]int{}, 0
	for _, a := range answers {
		if a.Err != nil {
			failed++
			reasons[reason(a.Err)]++
			continue
		}
		names[a.Name]++
	}
	if failed == 0 {
		return names, nil
	}
	var lines []string
	for r, n := range reasons {
		lines = append(lines, fmt.Sprintf("%d times %s", n, r))
	}
	slices.Sort(lines)
	return names, fmt.Errorf("%d of %d connections without an answer: %s", failed, len(answers), strings.Join(lines, "; "))
}

// reason is an error without the addresses, which differ from one to the next.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}
