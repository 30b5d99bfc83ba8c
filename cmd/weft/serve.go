package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"weft/cmd/weft/config"
	"weft/cmd/weft/metrics"
	"weft/cmd/weft/page"
	"weft/cmd/weft/serve"
	"weft/render/apply"
	"weft/render/verify"
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
	shown, err := page.Handler(page.Options{Recorder: a.status, Samples: a.status.Samples, History: openHistory(c), Ways: ways, Log: a.part("page")})
	if err != nil {
		return fmt.Errorf("make the page: %w", err)
	}
	server := &serve.Server{
		Recorder: a.status, Node: c.Node, Listen: c.Listen, MetricsListen: c.MetricsListen,
		Socket: socketPath(c, a.status.Status().Agent.Parts), Metrics: metrics.Handler(registry), Page: shown, Log: a.part("serve"),
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

// ways reads the rules back from the kernel, and follows new packets to a
// ServicePort through them.
func ways(ctx context.Context, rules *status.Rules, id, protocol string) ([]page.Way, error) {
	rs, err := apply.ReadBack(ctx, rules.Table)
	if err != nil {
		return nil, err
	}
	var list []page.Way
	for _, sp := range rules.State.ServicePorts {
		if sp.ID() != id || string(sp.Protocol) != protocol {
			continue
		}
		for _, address := range rules.State.Addresses {
			to := netip.AddrPortFrom(address, sp.NodePort)
			outcome, err := rs.Trace(verify.Prerouting, verify.Packet{Protocol: sp.Protocol, Destination: to, Local: true})
			if err != nil {
				return nil, fmt.Errorf("follow a packet to %s: %w", to, err)
			}
			list = append(list, wayOf(to, outcome)...)
		}
	}
	return list, nil
}

func wayOf(to netip.AddrPort, outcome verify.Outcome) (list []page.Way) {
	for _, class := range outcome.Classes {
		way := page.Way{To: to.String(), Conditions: class.Conditions}
		for _, end := range class.Ends {
			e := page.End{Fraction: end.Fraction.Float(), To: end.Words()}
			for _, step := range end.Path() {
				e.Steps = append(e.Steps, page.Step{Table: step.Table.String(), Chain: step.Chain, Handle: step.Handle, Verdict: step.Verdict})
			}
			way.Ends = append(way.Ends, e)
		}
		list = append(list, way)
	}
	return list
}
