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
	s.sortHeader()
	s.sortServicePorts()
}

func (s *State) sortHeader() {
	slices.SortFunc(s.Addresses, netip.Addr.Compare)
	slices.SortFunc(s.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
}

// sortServicePorts reports whether they had to be moved.
func (s *State) sortServicePorts() (moved bool) {
	if slices.IsSortedFunc(s.ServicePorts, (*ServicePort).Compare) {
		return false
	}
	slices.SortFunc(s.ServicePorts, (*ServicePort).Compare)
	return true
}

func (p *ServicePort) sort() {
	if !areStrictlySorted(p.Endpoints) {
		slices.SortFunc(p.Endpoints, func(a, b Endpoint) int { return compareEndpoints(&a, &b) })
	}
	if !isStrictlySortedFunc(p.Factors, compareFactors) {
		slices.SortFunc(p.Factors, func(a, b Factor) int { return compareFactors(&a, &b) })
	}
	slices.Sort(p.Held)
}

func (p *ServicePort) isSorted() bool {
	return areStrictlySorted(p.Endpoints) && isStrictlySortedFunc(p.Factors, compareFactors) && slices.IsSorted(p.Held)
}

// isSorted reports whether every list has its order. What before has too is not
// looked into.
func (s *State) isSorted(before *State) bool {
	return slices.IsSortedFunc(s.Addresses, netip.Addr.Compare) &&
		slices.IsSortedFunc(s.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) }) &&
		s.servicePortsAreSorted(before)
}

func (s *State) servicePortsAreSorted(before *State) bool {
	var known []*ServicePort
	if before != nil {
		known = before.ServicePorts
	}
	wasKnown := false // the one before: then both stand in their order
	for i, p := range s.ServicePorts {
		for len(known) > 0 && known[0] != p && known[0].Compare(p) < 0 {
			known = known[1:]
		}
		isKnown := len(known) > 0 && known[0] == p
		if !isKnown && !p.isSorted() || i > 0 && !(isKnown && wasKnown) && s.ServicePorts[i-1].Compare(p) > 0 {
			return false
		}
		if wasKnown = isKnown; isKnown {
			known = known[1:]
		}
	}
	return true
}

// sorted is s itself if it is in order, else a copy that is. before is a sorted
// State that may have ServicePorts in common with it, or nil.
func (s *State) sorted(before *State) *State {
	if s.isSorted(before) {
		return s
	}
	c := *s
	c.Addresses = slices.Clone(s.Addresses)
	c.Nodes = slices.Clone(s.Nodes)
	c.ServicePorts = slices.Clone(s.ServicePorts)
	for i, p := range c.ServicePorts {
		if !p.isSorted() {
			q := *p
			q.Endpoints, q.Factors, q.Held = slices.Clone(p.Endpoints), slices.Clone(p.Factors), slices.Clone(p.Held)
			q.sort()
			c.ServicePorts[i] = &q
		}
	}
	c.sort()
	return &c
}

// Difference tells the ServicePorts that only one of two states has, both in the
// order of a state file. One that differs in anything is in both lists. Pointers
// that are equal cost no more than that; in a list without order, the lists may
// hold more than what differs.
func Difference(before, after []*ServicePort) (gone, came []*ServicePort) {
	return DifferenceFunc(before, after, func(b, a *ServicePort) bool { return b == a })
}

// DifferenceFunc is [Difference] for records of which same tells whether one may take
// the other's place. It is true for no others than the same ServicePort.
func DifferenceFunc(before, after []*ServicePort, same func(before, after *ServicePort) bool) (gone, came []*ServicePort) {
	for len(before) > 0 && len(after) > 0 {
		switch b, a := before[0], after[0]; {
		case same(b, a):
			before, after = before[1:], after[1:]
		case b.Compare(a) <= 0:
			gone, before = append(gone, b), before[1:]
		default:
			came, after = append(came, a), after[1:]
		}
	}
	return append(gone, before...), append(came, after...)
}
