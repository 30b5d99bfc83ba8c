package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"weft/cmd/weft/config"
	"weft/state"
	"weft/state/kube"
	"weft/state/status"
	"weft/state/watch"
)

// source is where the configuration says that Services come from.
func (a *agent) source() (watch.Source, error) {
	c := a.config.Load()
	if c.Source != sourceKubernetes {
		s := &staticSource{agent: a}
		return s, s.read()
	}
	kube.TakeKlog(a.part("client-go"))
	server, err := kube.Server(cmp.Or(c.Kubeconfig, os.Getenv("KUBECONFIG")), c.Context)
	if err != nil {
		return nil, err
	}
	server.UserAgent = "weft/" + readVersion().Version
	_, vars, err := a.vars.load(c)
	if err != nil {
		return nil, err
	}
	return kube.New(kube.Config{
		Affinity: vars.HashesAffinity(),
		Node:     c.Node, Namespaces: c.Namespaces, Selector: c.Selector.Selector, MinNodes: c.MinNodes,
		NodePortAddresses: c.NodePortAddresses, Events: c.Events, Triggered: a.status.Triggered,
		Told: func(err error) { a.status.Failed(status.Gather, err) },
	}, server, a.part("source"))
}

const sourceKubernetes = "kubernetes"

// staticSource is the list of the configuration, which may change while weft
// runs.
type staticSource struct {
	agent *agent
	last  atomic.Pointer[state.State]
}

// Run reads the list again when the configuration was read again.
func (s *staticSource) Run(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.agent.gathers:
		}
		err := s.read()
		s.agent.status.Failed(status.Gather, err)
		if err != nil {
			s.agent.part("source").Error("static list refused, the last good one stays in force", "error", err)
			continue
		}
		changed()
	}
}

func (s *staticSource) read() error {
	st, err := gather(s.agent.config.Load())
	if err == nil {
		s.last.Store(st)
	}
	return err
}

// State is the list that was read last.
func (s *staticSource) State() *state.State { return s.last.Load() }

// gather makes a state of the list in the configuration. It is empty if Services
// come from elsewhere.
func gather(c *config.Config) (*state.State, error) {
	if c.Source == sourceKubernetes {
		return &state.State{Node: c.Node}, nil
	}
	st, err := c.Static.State(c.Node)
	if err != nil {
		return nil, c.Locate("static", err)
	}
	return st, nil
}

// sourceDiffers says whether something changed that a source reads at its start.
func sourceDiffers(a, b *config.Config) bool {
	return a.Source != b.Source || a.Kubeconfig != b.Kubeconfig || a.Context != b.Context || a.Namespaces.String() != b.Namespaces.String() ||
		a.Selector.String() != b.Selector.String() || a.MinNodes != b.MinNodes || a.NodePortAddresses.String() != b.NodePortAddresses.String() ||
		a.Events != b.Events || fmt.Sprint(a.Vars["affinity"]) != fmt.Sprint(b.Vars["affinity"]) || a.MinInterval != b.MinInterval || a.MaxInterval != b.MaxInterval
}
