package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"weft/examples/lab"
	"weft/examples/lab/cgroup"
)

// side is one of the two clusters.
type side struct {
	name  string
	lab   *lab.Lab
	nodes []*node
	logs  []*os.File
}

// The names of the sides.
const (
	sideEqual = "equal"
	sideWeft  = "weft"
)

// newSide builds a cluster; weft is the program to run on each node, or empty. What
// fails has taken down what it made.
func newSide(name, weft, dir string, h *cgroup.Hierarchy) (*side, error) {
	s := &side{name: name}
	if err := s.build(weft, dir, h); err != nil {
		return nil, errors.Join(fmt.Errorf("build the side %s: %w", name, err), s.close())
	}
	return s, nil
}

func (s *side) build(weft, dir string, h *cgroup.Hierarchy) error {
	var err error
	if s.lab, err = lab.Build(lab.Options{Nodes: len(sizes()), Pods: 1}); err != nil {
		return err
	}
	for i, size := range sizes() {
		n := &node{Node: s.lab.Nodes[i], size: size, weft: weft, dir: filepath.Join(dir, s.name, s.lab.Nodes[i].Host.Host)}
		s.nodes = append(s.nodes, n)
		if err := s.prepare(n, h); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		if err := lab.Behind(n.Namespace, []netip.Addr{n.IPv4}, nodePort, s.backends()); err != nil {
			return err
		}
		if err := n.boot(); err != nil {
			return err
		}
	}
	return nil
}

// prepare gives a node its cgroup, folder, /proc/stat and configuration.
func (s *side) prepare(n *node, h *cgroup.Hierarchy) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		return err
	}
	s.logs, n.log = append(s.logs, log), log
	if n.group, err = h.New(fmt.Sprintf("weft-bench-%d-%s-%s", os.Getpid(), s.name, n.Host.Host)); err != nil {
		return err
	}
	if err := n.limit(n.size); err != nil {
		return err
	}
	if n.weft == "" {
		return nil
	}
	if n.meter, err = newMeter(n.group, n.stat()); err != nil {
		return err
	}
	text, err := s.config(n)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.dir, "weft.yaml"), []byte(text), 0o600)
}

//go:embed weft.yaml.tmpl
var configText string

func (s *side) config(n *node) (string, error) {
	t, err := template.New("weft.yaml.tmpl").Option("missingkey=error").Parse(configText)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = t.Execute(&text, map[string]any{
		"Dir": n.dir, "Node": n.Host.Host, "Address": n.IPv4, "NodePort": nodePort, "Port": backendPort, "Nodes": s.lab.Nodes,
	})
	return text.String(), err
}

func (s *side) backends() []netip.AddrPort {
	var all []netip.AddrPort
	for _, n := range s.nodes {
		all = append(all, netip.AddrPortFrom(n.Pods[0].IPv4, backendPort))
	}
	return all
}

// entries are the nodes that clients connect to: all but the one that will die, for
// its clients would see the end of a machine and not what others make of it.
func (s *side) entries() []*node {
	var all []*node
	for i, n := range s.nodes {
		if i != victim {
			all = append(all, n)
		}
	}
	return all
}

func (s *side) targets() []string {
	var all []string
	for _, n := range s.entries() {
		all = append(all, fmt.Sprintf("http://%v/", netip.AddrPortFrom(n.IPv4, nodePort)))
	}
	return all
}

// await waits until every backend answers and every weft says that it is ready.
func (s *side) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, n := range s.nodes {
		for {
			err := n.ready(ctx)
			if err == nil {
				break
			}
			if ended := n.ended(); ended != nil {
				return ended
			}
			if wait := sleep(ctx, 20*time.Millisecond); wait != nil {
				return fmt.Errorf("%s of %s is not ready: %w", n.Host.Host, s.name, err)
			}
		}
	}
	return nil
}

func (n *node) ready(ctx context.Context) error {
	err := n.Do(func() error {
		conn, err := net.DialTimeout("tcp4", netip.AddrPortFrom(n.Pods[0].IPv4, backendPort).String(), time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil || n.weft == "" {
		return err
	}
	socket := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(n.dir, "weft.sock"))
	}
	client := http.Client{Transport: &http.Transport{DialContext: socket, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/readyz", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("weft is not ready: %s", response.Status)
	}
	return nil
}

func (s *side) close() error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.close())
	}
	if s.lab != nil {
		errs = append(errs, s.lab.Close())
	}
	for _, f := range s.logs {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
