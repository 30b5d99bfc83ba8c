package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	eventsv1 "k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
)

// How many Events a node makes: so many a second, and so many at a time.
const (
	eventRate  = 0.2
	eventBurst = 10
)

// events tells the owners of Services what is wrong with them.
type events struct {
	broadcaster eventsv1.EventBroadcaster
	recorder    eventsv1.EventRecorder
	limit       flowcontrol.RateLimiter
}

func newEvents(client kubernetes.Interface, node string) *events {
	e := &events{
		broadcaster: eventsv1.NewBroadcaster(&eventsv1.EventSinkImpl{Interface: client.EventsV1()}),
		limit:       flowcontrol.NewTokenBucketRateLimiter(eventRate, eventBurst),
	}
	e.recorder = e.broadcaster.NewRecorder(scheme.Scheme, "weft")
	return e
}

func (e *events) start(ctx context.Context) error {
	if err := e.broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("record events: %w", err)
	}
	return nil
}

func (e *events) stop() { e.broadcaster.Shutdown() }

// warn makes an Event on the Service, unless there were too many of late.
func (e *events) warn(svc *corev1.Service, problem error) {
	if e.limit.TryAccept() {
		e.recorder.Eventf(svc, nil, corev1.EventTypeWarning, "InvalidAnnotation", "Steer", "left to kube-proxy: %s", problem.Error())
	}
}
