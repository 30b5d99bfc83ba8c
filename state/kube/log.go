package kube

import (
	"context"
	"log/slog"
)

// ClientLog is a logger for client-go, whose remarks are of use to those who
// look for faults in it: they become debug messages. Warnings and errors stay.
func ClientLog(to *slog.Logger) *slog.Logger { return slog.New(&quieter{to.Handler()}) }

type quieter struct{ slog.Handler }

func demote(level slog.Level) slog.Level {
	if level < slog.LevelWarn {
		return min(level, slog.LevelDebug)
	}
	return level
}

// Enabled asks for the level that a message would get.
func (q *quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, demote(level))
}

// Handle passes a message on.
func (q *quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = demote(r.Level)
	return q.Handler.Handle(ctx, r)
}

// WithAttrs is a part of [slog.Handler].
func (q *quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &quieter{q.Handler.WithAttrs(attrs)}
}

// WithGroup is a part of [slog.Handler].
func (q *quieter) WithGroup(name string) slog.Handler { return &quieter{q.Handler.WithGroup(name)} }
