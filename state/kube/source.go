package kube

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"weft/state"
)

// Source follows a cluster. It implements the Source of package watch.
type Source struct {
	config  Config
	log     *slog.Logger
	client  *api
	contact *contact
	events  *events

	ready   atomic.Pointer[view] // set when all caches are filled
	changed atomic.Pointer[func()]

	mu   sync.Mutex
	said map[string]bool // the failures that were said; empty while all is well

	problem string // of the node, as it was said last
}

// New makes a Source that begins when it is run. The rest.Config is changed to
// what suits weft.
func New(config Config, server *rest.Config, log *slog.Logger) (*Source, error) {
	s := &Source{config: config, log: log, said: map[string]bool{}}
	server.ContentType = runtime.ContentTypeProtobuf
	server.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	s.contact = &contact{lines: map[string]*line{}, back: s.heard, failed: s.failed}
	server.Wrap(func(next http.RoundTripper) http.RoundTripper {
		s.contact.next = next
		return s.contact
	})
	client, err := newAPI(server)
	if err != nil {
		return nil, err
	}
	s.client = client
	if config.Events {
		s.events = newEvents(client, config.Node, log)
	}
	return s, nil
}

// discoveryRetry is the wait before the API server is asked again what it has.
const discoveryRetry = 2 * time.Second

// Run fills the caches and keeps them up to date until ctx ends. What is wrong
// with the API server is said once and tried again.
func (s *Source) Run(ctx context.Context, changed func()) error {
	s.changed.Store(&changed)
	g, ctx := errgroup.WithContext(ctx)
	if s.events != nil {
		g.Go(func() error { return s.events.run(ctx) })
	}
	g.Go(func() error { return s.follow(ctx) })
	return g.Wait()
}

func (s *Source) follow(ctx context.Context) error {
	withRanges, err := s.hasRanges(ctx)
	if err != nil {
		return err
	}
	var v *view
	in, err := newInformed(s.client, &s.config, withRanges, noted{
		touched: func(key types.NamespacedName) { v.touch(key); s.notify() },
		moved:   func() { v.move(); s.notify() },
		failed:  s.failed, triggered: s.config.Triggered,
	})
	if err != nil {
		return err
	}
	v = newView(s.config, in, s.complain)
	s.contact.want = len(in.synced)
	ctx, stop := context.WithCancel(ctx)
	defer in.stop()
	defer stop()
	if in.start(ctx) {
		s.log.Info("caches filled")
		s.ready.Store(v)
		s.notify()
	}
	<-ctx.Done()
	return ctx.Err()
}

// hasRanges asks the API server, for as long as it does not answer, whether it
// tells the ranges of Services: it does so since Kubernetes 1.33.
func (s *Source) hasRanges(ctx context.Context) (bool, error) {
	for {
		found, err := resources(ctx, s.client.networking)
		if err == nil || apierrors.IsNotFound(err) {
			return slices.ContainsFunc(found, func(r metav1.APIResource) bool { return r.Name == "servicecidrs" }), nil
		}
		s.failed(err)
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(discoveryRetry):
		}
	}
}

// notify says that there is something new, once there is a state at all.
func (s *Source) notify() {
	if s.ready.Load() != nil {
		(*s.changed.Load())()
	}
}

// State is what the cluster is like now, or nil while the caches are not filled.
// It is for one goroutine.
func (s *Source) State() *state.State {
	v := s.ready.Load()
	if v == nil {
		return nil
	}
	since := s.contact.since()
	st := v.state()
	st.Written = since
	if problem := v.around.problem; problem != s.problem {
		s.problem = problem
		if problem != "" {
			s.log.Error("node takes no traffic", "error", problem)
		} else {
			s.log.Info("node takes traffic", "addresses", st.Addresses)
		}
	}
	return st
}

// failed says why a list or watch ended: each answer of the API server once, and
// that there is none once. That a watch ends as all do, or that the API server
// forgot where it was, is no failure.
func (s *Source) failed(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, context.Canceled), apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		return
	}
	what := "no answer"
	var answer apierrors.APIStatus
	if errors.As(err, &answer) {
		what = err.Error()
	}
	s.tell(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.said[what] {
		s.said[what] = true
		s.log.Warn("API server does not tell, the last state stays", "error", err)
	}
}

// heard says that all is well again, if anything else was said.
func (s *Source) heard() {
	s.mu.Lock()
	was := len(s.said) > 0
	clear(s.said)
	s.mu.Unlock()
	s.tell(nil)
	if was {
		s.log.Info("API server tells again")
	}
	s.notify()
}

func (s *Source) tell(err error) {
	if s.config.Told != nil {
		s.config.Told(err)
	}
}

// complain tells of wrong annotations.
func (s *Source) complain(svc *keptService, problem error, speak bool) {
	s.log.Warn("annotations refused", "service", svc.namespace+"/"+svc.name, "error", problem)
	if s.events != nil && speak {
		s.events.warn(svc, problem)
	}
}
