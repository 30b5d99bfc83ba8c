package state

import (
	"cmp"
	"net/netip"
	"slices"
)

// Sort brings a State that was just built, and is not published yet, into the
// order that its documentation promises. Its ServicePorts are sorted inside too.
func (s *State) Sort() {
	for _, p := range s.ServicePorts {
		p.sort()
	}
	s.sort()
}

// sort leaves the ServicePorts themselves alone, which other States may share.
func (s *State) sort() {
	slices.SortFunc(s.Addresses, netip.Addr.Compare)
	slices.SortFunc(s.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	if !slices.IsSortedFunc(s.ServicePorts, (*ServicePort).Compare) {
		slices.SortFunc(s.ServicePorts, (*ServicePort).Compare)
	}
}

func (p *ServicePort) sort() {
	if !areStrictlySorted(p.Endpoints) {
		slices.SortFunc(p.Endpoints, func(a, b Endpoint) int { return compareEndpoints(&a, &b) })
	}
}

// isSorted reports whether every list has its order.
func (s *State) isSorted() bool {
	for _, p := range s.ServicePorts {
		if !areStrictlySorted(p.Endpoints) {
			return false
		}
	}
	return slices.IsSortedFunc(s.ServicePorts, (*ServicePort).Compare) &&
		slices.IsSortedFunc(s.Addresses, netip.Addr.Compare) &&
		slices.IsSortedFunc(s.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
}

// sorted is s itself if it is in order, else a copy that is.
func (s *State) sorted() *State {
	if s.isSorted() {
		return s
	}
	c := *s
	c.Addresses = slices.Clone(s.Addresses)
	c.Nodes = slices.Clone(s.Nodes)
	c.ServicePorts = slices.Clone(s.ServicePorts)
	for i, p := range c.ServicePorts {
		if !areStrictlySorted(p.Endpoints) {
			q := *p
			q.Endpoints = slices.Clone(p.Endpoints)
			q.sort()
			c.ServicePorts[i] = &q
		}
	}
	c.sort()
	return &c
}
