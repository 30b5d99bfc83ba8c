package status

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// maxEvents is how many log messages a Recorder keeps.
const maxEvents = 64

// Event is a log message, so that whoever looks at an agent need not find its
// log first.
type Event struct {
	Time      time.Time `json:"time" yaml:"time"`
	Level     string    `json:"level" yaml:"level"`
	Component string    `json:"component,omitempty" yaml:"component,omitempty"`
	Message   string    `json:"message" yaml:"message"`
	// Details are the attributes, as name=value.
	Details string `json:"details,omitempty" yaml:"details,omitempty"`
}

// Handler passes log records on to next, and keeps the last ones of level Info
// and above, also those that next does not want.
func (r *Recorder) Handler(next slog.Handler) slog.Handler {
	if r == nil {
		return next
	}
	return &handler{Handler: next, recorder: r}
}

type handler struct {
	slog.Handler
	recorder *Recorder
	attrs    []slog.Attr
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.recorder, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.recorder, h.attrs}
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.Handler.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelInfo {
		h.recorder.note(record, h.attrs)
	}
	if !h.Handler.Enabled(ctx, record.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, record)
}

func (r *Recorder) note(record slog.Record, attrs []slog.Attr) {
	e := Event{Time: record.Time, Level: record.Level.String(), Message: record.Message}
	var details []string
	take := func(a slog.Attr) bool {
		if a.Key == ComponentKey {
			e.Component = a.Value.String()
		} else {
			details = append(details, fmt.Sprintf("%s=%s", a.Key, a.Value))
		}
		return true
	}
	for _, a := range attrs {
		take(a)
	}
	record.Attrs(take)
	e.Details = strings.Join(details, " ")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events.add(e, maxEvents)
}

// ComponentKey is the attribute that names the part of the way that a log message
// is about.
const ComponentKey = "component"

// ring keeps the last so many.
type ring[T any] struct {
	items []T
	next  int
}

func (r *ring[T]) add(item T, limit int) {
	if len(r.items) < limit {
		r.items = append(r.items, item)
		return
	}
	r.items[r.next] = item
	r.next = (r.next + 1) % limit
}

// list is a copy, oldest first.
func (r *ring[T]) list() []T {
	return append(append([]T(nil), r.items[r.next:]...), r.items[:r.next]...)
}
