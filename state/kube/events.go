package kube

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/flowcontrol"
)

// How many Events a node makes: so many a second, and so many at a time.
const (
	eventRate  = 0.2
	eventBurst = 10
)

// noteLimit is how many bytes the API server takes as an Event's note.
const noteLimit = 1024

// events tells the owners of Services what is wrong with them.
type events struct {
	api   *api
	node  string
	log   *slog.Logger
	limit flowcontrol.RateLimiter
	queue chan *eventsv1.Event
}

func newEvents(api *api, node string, log *slog.Logger) *events {
	return &events{
		api: api, node: node, log: log,
		limit: flowcontrol.NewTokenBucketRateLimiter(eventRate, eventBurst),
		queue: make(chan *eventsv1.Event, eventBurst),
	}
}

// warn makes an Event on the Service, unless there were too many of late. It does
// not wait for the API server.
func (e *events) warn(svc *keptService, problem error) {
	if !e.limit.TryAccept() {
		return
	}
	select {
	case e.queue <- e.event(svc, problem):
	default: // the API server does not answer, and there are many already
	}
}

func (e *events) event(svc *keptService, problem error) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: svc.namespace, GenerateName: svc.name + "-"},
		EventTime:  metav1.NowMicro(),
		Type:       corev1.EventTypeWarning, Reason: "InvalidAnnotation", Action: "Steer",
		ReportingController: "weft", ReportingInstance: e.node,
		Regarding: corev1.ObjectReference{
			APIVersion: "v1", Kind: "Service",
			Namespace: svc.namespace, Name: svc.name, UID: svc.uid, ResourceVersion: svc.version,
		},
		Note: cut("left to kube-proxy: "+problem.Error(), noteLimit),
	}
}

// cut shortens a text to so many bytes, at a character's edge.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// run sends the Events until ctx ends.
func (e *events) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-e.queue:
			if err := e.send(ctx, event); err != nil && ctx.Err() == nil {
				e.log.Warn("event not made", "service", event.Namespace+"/"+event.Regarding.Name, "error", err)
			}
		}
	}
}

// send tries for two minutes where the API server gives no answer, or is not well.
func (e *events) send(ctx context.Context, event *eventsv1.Event) (last error) {
	retry := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: 8, Cap: 30 * time.Second}
	err := wait.ExponentialBackoffWithContext(ctx, retry, func(ctx context.Context) (bool, error) {
		last = e.api.record(ctx, event)
		var answer apierrors.APIStatus
		if errors.As(last, &answer) && answer.Status().Code < http.StatusInternalServerError {
			return true, nil // it is not taken, now or later
		}
		return last == nil, nil
	})
	if last == nil {
		return err
	}
	return last
}
