package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// Backend answers TCP (as HTTP) and UDP on one address with its name, and HTTP at
// the path /from with the address that the question seems to come from.
type Backend struct {
	http    *http.Server
	udp     net.PacketConn
	serving errgroup.Group
}

// Serve starts a backend in the namespace, at the same port for TCP and UDP. An
// unspecified IPv6 address serves both families. Close ends it.
func Serve(ns *Namespace, addr netip.AddrPort, name string) (*Backend, error) {
	tcp, udp, err := listen(ns, addr.String())
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", name, err)
	}
	answer := []byte(name + "\n")
	b := &Backend{udp: udp, http: &http.Server{
		ReadHeaderTimeout: answerTimeout,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := answer
			if r.URL.Path == "/from" {
				from, _, _ := net.SplitHostPort(r.RemoteAddr)
				answer = []byte(from + "\n")
			}
			_, _ = w.Write(answer) // a client that left is no concern of ours
		}),
	}}
	b.serving.Go(func() error { return unlessClosed(b.http.Serve(tcp)) })
	b.serving.Go(func() error { return unlessClosed(echo(udp, answer)) })
	return b, nil
}

// listen opens both sockets. Plain TCP: Go listens for multipath TCP otherwise,
// which a namespace may not have.
func listen(ns *Namespace, addr string) (tcp net.Listener, udp net.PacketConn, err error) {
	err = ns.Do(func() error {
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		ctx := context.Background()
		if tcp, err = config.Listen(ctx, "tcp", addr); err != nil {
			return err
		}
		if udp, err = config.ListenPacket(ctx, "udp", addr); err != nil {
			return errors.Join(err, tcp.Close())
		}
		return nil
	})
	return tcp, udp, err
}

// echo answers every datagram until the socket is closed.
func echo(udp net.PacketConn, answer []byte) error {
	var question [64]byte
	for {
		_, from, err := udp.ReadFrom(question[:])
		if err != nil {
			return err
		}
		if _, err := udp.WriteTo(answer, from); errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

// Close ends the backend and waits for its goroutines.
func (b *Backend) Close() error {
	err := errors.Join(b.http.Close(), b.udp.Close())
	return errors.Join(err, b.serving.Wait())
}

func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// answerTimeout is how long a client waits for an answer. It is longer than
// the three seconds after which a lost SYN was sent twice more, so a packet that a
// busy machine lost is no failure, and a port that nobody serves is.
const answerTimeout = 5 * time.Second
