// Package serve lets others look at a running agent: health checks, metrics, the
// status for `weft status` and the page, over HTTP on the loopback and on a unix
// socket, and the state of the service for systemd.
//
// All of it is read only, and none of it may ever harm what it looks at. An
// address that is taken is said once and tried again, and the agent goes on; a
// client that is slow is cut off. A web site that a user of this machine visits
// cannot read the answers, whatever name it gives to the loopback: requests must
// name the agent by an address, by localhost or by the node's name.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/state/status"
)

// Server answers whoever asks about an agent. An address or path that is empty
// is not listened on.
type Server struct {
	Recorder *status.Recorder
	// Listen is the address for everything.
	Listen string
	// MetricsListen is a further address for metrics alone, which may be one that
	// other machines reach.
	MetricsListen string
	// Socket is the path of the unix socket for everything.
	Socket string
	// Node is the name of the node, by which it may be asked too.
	Node string
	// Metrics answers /metrics, Page everything that no other does; nil is not
	// found.
	Metrics, Page http.Handler
	Log           *slog.Logger
}

// Run answers until ctx ends, and tells systemd how it goes.
func (s *Server) Run(ctx context.Context) error {
	all, metrics := s.everything(), http.NewServeMux()
	if s.Metrics != nil {
		metrics.Handle("GET /metrics", s.Metrics)
	}
	g, ctx := errgroup.WithContext(ctx)
	if s.Listen != "" {
		g.Go(func() error { return s.keep(ctx, tcp(s.Listen), s.named(all)) })
	}
	if s.MetricsListen != "" {
		g.Go(func() error { return s.keep(ctx, tcp(s.MetricsListen), metrics) })
	}
	if s.Socket != "" {
		g.Go(func() error { return s.keep(ctx, socket(s.Socket), all) })
	}
	g.Go(func() error { return s.notify(ctx) })
	return g.Wait()
}

// listen makes a listener; name is for messages.
type listen struct {
	name string
	open func(context.Context) (net.Listener, error)
}

func tcp(address string) listen {
	return listen{address, func(ctx context.Context) (net.Listener, error) {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	}}
}

// retry is the time between two tries to listen where it did not work.
const retry = 10 * time.Second

// keep answers on one address until ctx ends.
func (s *Server) keep(ctx context.Context, on listen, handler http.Handler) error {
	said := ""
	for ctx.Err() == nil {
		l, err := on.open(ctx)
		if err == nil {
			s.Log.Debug("answering", "at", on.name)
			said, err = "", s.answer(ctx, l, handler)
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			s.Log.Warn("status is not served, trying again", "at", on.name, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
	return nil
}

// Limits of a request. The page of the largest cluster takes well under a second
// to make.
const (
	headerTime = 5 * time.Second
	answerTime = 30 * time.Second
	idleTime   = time.Minute
	headerSize = 16 << 10
	stopTime   = time.Second
)

// answer serves on a listener, and closes it.
func (s *Server) answer(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, WriteTimeout: answerTime,
		IdleTimeout: idleTime, MaxHeaderBytes: headerSize, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("answer requests: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := server.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // somebody does not let go
	}
	<-ended
	return err
}
