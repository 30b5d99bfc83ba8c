package kube

import (
	"bytes"
	"context"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// TakeKlog has klog, which client-go logs with, write to a logger, at the levels of
// [ClientLog]. It is the whole process's.
func TakeKlog(to *slog.Logger) {
	to = ClientLog(to)
	klog.SetLoggerWithOptions(logr.FromSlogHandler(to.Handler()), klog.ContextualLogger(true), klog.WriteKlogBuffer(func(line []byte) {
		unstructured(to, line)
	}))
}

// unstructured takes a line that klog has formatted, such as "W1129 00:11:22.333444
// 123 file.go:10] message". As a message of logr it would have lost its severity:
// there is no warning.
func unstructured(to *slog.Logger, line []byte) {
	level := slog.LevelInfo
	switch {
	case bytes.HasPrefix(line, []byte("W")):
		level = slog.LevelWarn
	case bytes.HasPrefix(line, []byte("E")), bytes.HasPrefix(line, []byte("F")):
		level = slog.LevelError
	}
	_, message, ok := strings.Cut(string(line), "] ")
	if !ok {
		message = string(line)
	}
	to.Log(context.Background(), level, strings.TrimSpace(message))
}

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
