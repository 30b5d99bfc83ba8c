package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"weft/cmd/weft/config"
	"weft/cmd/weft/metrics"
	"weft/cmd/weft/serve"
	"weft/state/status"
)

// serve adds what answers others about the agent to the group.
func (a *agent) serve(ctx context.Context, g *errgroup.Group) error {
	c, v := a.config.Load(), readVersion()
	registry, err := metrics.Registry(a.status, metrics.Options{
		Version: v.Version, Revision: v.Revision, Go: v.Go, PerEndpoint: c.MetricsPerEndpoint,
	})
	if err != nil {
		return fmt.Errorf("make the metrics: %w", err)
	}
	server := &serve.Server{
		Recorder: a.status, Node: c.Node, Listen: c.Listen, MetricsListen: c.MetricsListen,
		Socket: socketPath(c, a.status.Status().Agent.Parts), Metrics: metrics.Handler(registry), Log: a.log,
	}
	g.Go(func() error { return server.Run(ctx) })
	return nil
}

// socketPath is the socket of an agent with the parts: a watcher alone has one
// beside that of its applier.
func socketPath(c *config.Config, parts []status.Part) string {
	if c.Socket == "" || slices.Contains(parts, status.Applier) {
		return c.Socket
	}
	return watchSocket(c)
}

func watchSocket(c *config.Config) string {
	ext := filepath.Ext(c.Socket)
	return strings.TrimSuffix(c.Socket, ext) + "-watch" + ext
}
