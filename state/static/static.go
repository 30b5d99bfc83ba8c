// Package static makes a State from a list of Services in a config file, for
// machines without Kubernetes. Weights of any size become shares, address family
// by address family; a weight of 0 drains an endpoint.
package static

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"github.com/hashicorp/go-multierror"

	"weft/state"
	"weft/state/strict"
)

// Config is the static part of a config file.
type Config struct {
	// Addresses are the node's addresses where NodePort traffic is taken.
	Addresses []netip.Addr `yaml:"addresses" strict:"required"`
	Nodes     []Node       `yaml:"nodes"`
	Services  []Service    `yaml:"services"`
}

// Node is a machine that endpoints run on.
type Node struct {
	Name    string     `yaml:"name" strict:"required"`
	Address netip.Addr `yaml:"address" strict:"required"`
}

// Service is one port that the node offers.
type Service struct {
	// Namespace is default if it is empty.
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name" strict:"required"`
	// Port is the name of the port, for a Service that has several.
	Port string `yaml:"port"`
	// Protocol is tcp if it is empty.
	Protocol state.Protocol `yaml:"protocol"`
	NodePort uint16         `yaml:"nodePort" strict:"required,min=1"`
	// Policy is how the shares are chosen; empty is the policy of the whole
	// configuration.
	Policy state.Policy `yaml:"policy"`
	// Affinity is what keeps the connections of a client together; empty is nothing.
	Affinity  state.Affinity `yaml:"affinity"`
	Endpoints []Endpoint     `yaml:"endpoints"`
}

// Endpoint is an address and port that serves a Service.
type Endpoint struct {
	Address netip.Addr `yaml:"address" strict:"required"`
	Port    uint16     `yaml:"port" strict:"required,min=1"`
	Node    string     `yaml:"node"`
	// Weight is how much traffic the endpoint gets compared with the others of
	// its Service and family; nil is 1, and 0 drains it.
	Weight *float64 `yaml:"weight" strict:"min=0"`
}

// State makes the state of the node with the given name. A Service without an
// endpoint that has a weight is skipped. Where only one address family of a
// Service has no weight at all, the endpoints of that family are left out.
//
// The error is a *multierror.Error of *strict.Problem with everything that is
// wrong, by paths of the Config such as services[1].endpoints[0].weight.
func (c Config) State(node string) (*state.State, error) {
	s := &state.State{Node: node, Addresses: append([]netip.Addr(nil), c.Addresses...)}
	for _, n := range c.Nodes {
		s.Nodes = append(s.Nodes, state.Node{Name: n.Name, Address: n.Address})
	}
	var problems []*strict.Problem
	for i := range c.Services {
		s.ServicePorts = append(s.ServicePorts, c.Services[i].servicePort())
	}
	// Equal shares stand in for the weights in this check, so that every
	// endpoint still has the place that it has in the config.
	place := func(i int) string { return fmt.Sprintf("services[%d]", i) }
	problems = append(problems, problemsOf(state.ValidateAt(s, place))...)
	if len(problems) > 0 {
		return nil, strict.Join(problems)
	}
	for i := range c.Services {
		s.ServicePorts[i].Endpoints = c.Services[i].weigh(s.ServicePorts[i].Endpoints)
	}
	s.Sort()
	return s, nil
}

func problemsOf(err error) (problems []*strict.Problem) {
	var all *multierror.Error
	if !errors.As(err, &all) {
		return nil
	}
	for _, err := range all.Errors {
		var p *strict.Problem
		if errors.As(err, &p) {
			problems = append(problems, p)
		}
	}
	return problems
}

// servicePort has all endpoints in the order of the config, with equal shares.
func (s *Service) servicePort() *state.ServicePort {
	p := &state.ServicePort{
		Namespace: cmp.Or(s.Namespace, "default"), Name: s.Name, Port: s.Port,
		Protocol: cmp.Or(s.Protocol, state.TCP), NodePort: s.NodePort, Policy: s.Policy, Affinity: s.Affinity, Skipped: s.skipped(),
	}
	var count [2]float64
	for i := range s.Endpoints {
		count[s.Endpoints[i].family()]++
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		p.Endpoints = append(p.Endpoints, state.Endpoint{Address: e.Address, Port: e.Port, Node: e.Node, Weight: e.Weight, Share: 1 / count[e.family()]})
	}
	return p
}

// skipped is why the Service has no rules; empty for one that has.
func (s *Service) skipped() string {
	if len(s.Endpoints) == 0 {
		return "no endpoints"
	}
	for i := range s.Endpoints {
		if s.Endpoints[i].weight() != 0 {
			return ""
		}
	}
	return "all endpoints are drained"
}

// weigh gives the endpoints the shares of their weights.
func (s *Service) weigh(eps []state.Endpoint) []state.Endpoint {
	most, sum := s.totals()
	weighed := eps[:0]
	for i, e := range eps {
		f := s.Endpoints[i].family()
		switch {
		case most[f] > 0:
			e.Share = s.Endpoints[i].weight() / most[f] / sum[f]
		case s.skipped() == "":
			continue
		default:
			e.Share = 0
		}
		weighed = append(weighed, e)
	}
	return weighed
}

// totals are, for each family, the greatest weight and the sum of the weights in
// parts of it: a sum of weights as such may be too large for a float64.
func (s *Service) totals() (most, sum [2]float64) {
	for i := range s.Endpoints {
		f := s.Endpoints[i].family()
		most[f] = max(most[f], s.Endpoints[i].weight())
	}
	for i := range s.Endpoints {
		if f := s.Endpoints[i].family(); most[f] > 0 {
			sum[f] += s.Endpoints[i].weight() / most[f]
		}
	}
	return most, sum
}

func (e *Endpoint) weight() float64 {
	if e.Weight == nil {
		return 1
	}
	return *e.Weight
}

// family is 0 for IPv4 and 1 for IPv6.
func (e *Endpoint) family() int {
	if e.Address.Is4() {
		return 0
	}
	return 1
}
