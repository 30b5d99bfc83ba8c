package main

import (
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"weft/examples/lab"
)

// configText is all that the demo knows about weft's configuration.
//
//go:embed weft.yaml.tmpl
var configText string

// config is what the template of weft's configuration is filled in with.
type config struct {
	Dir       string
	Node      string
	Address   netip.Addr
	NodePort  uint16
	Heartbeat time.Duration
	Nodes     []node
	Endpoints []endpoint
}

type node struct {
	Name    string
	Address netip.Addr
}

// endpoint is a pod with the weight that it should have among the others.
type endpoint struct {
	Name    string
	Address netip.Addr
	Port    uint16
	Node    string
	Weight  int
}

const (
	nodePort    = 30000
	backendPort = 8080
	heartbeat   = 3 * time.Second
)

// newConfig gives the lab's pods, in their order, the weights. A pod without a
// weight is left out.
func newConfig(dir string, l *lab.Lab, weights map[string]int) config {
	c := config{
		Dir: dir, Node: l.Node().Host.Host, Address: l.Node().IPv4,
		NodePort: nodePort, Heartbeat: heartbeat,
	}
	for _, n := range l.Nodes {
		c.Nodes = append(c.Nodes, node{n.Host.Host, n.IPv4})
		for _, pod := range n.Pods {
			if w := weights[pod.Host]; w > 0 {
				c.Endpoints = append(c.Endpoints, endpoint{pod.Host, pod.IPv4, backendPort, n.Host.Host, w})
			}
		}
	}
	return c
}

// path is the configuration file.
func (c config) path() string { return filepath.Join(c.Dir, "weft.yaml") }

// text is the configuration as weft reads it.
func (c config) text() (string, error) {
	t, err := template.New("weft.yaml.tmpl").Option("missingkey=error").Parse(configText)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = t.Execute(&text, c)
	return text.String(), err
}

// save replaces the file at once, as an editor does, and returns when it did.
func (c config) save() (time.Time, error) {
	text, err := c.text()
	if err != nil {
		return time.Time{}, err
	}
	next := filepath.Join(c.Dir, ".weft.yaml.next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return time.Time{}, err
	}
	saved := time.Now()
	if err := os.Rename(next, c.path()); err != nil {
		return time.Time{}, fmt.Errorf("save the configuration: %w", err)
	}
	return saved, nil
}

// shares are the weights as fractions of 1, by name.
func (c config) shares() map[string]float64 {
	sum := 0
	for _, e := range c.Endpoints {
		sum += e.Weight
	}
	shares := map[string]float64{}
	for _, e := range c.Endpoints {
		shares[e.Name] = float64(e.Weight) / float64(sum)
	}
	return shares
}

// equal are equal shares, which kube-proxy gives.
func (c config) equal() map[string]float64 {
	shares := map[string]float64{}
	for _, e := range c.Endpoints {
		shares[e.Name] = 1 / float64(len(c.Endpoints))
	}
	return shares
}

// backends are where the endpoints listen.
func (c config) backends() []netip.AddrPort {
	var all []netip.AddrPort
	for _, e := range c.Endpoints {
		all = append(all, netip.AddrPortFrom(e.Address, e.Port))
	}
	return all
}
