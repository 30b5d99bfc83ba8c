package render

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"weft/state"
)

// Data is what a template set is executed with: the part of a state that rules
// depend on. Times, measurements and the generation are left out, so that they
// alone never change a rule.
type Data struct {
	// Node is the name of the node that the rules are for.
	Node string
	Vars Vars
	// Families are those that the node has addresses of, ip before ip6.
	Families []*Family
}

// Family is one address family of a ruleset: what one table holds.
type Family struct {
	// Name is nft's name of the family: ip or ip6.
	Name string
	// AddrType is nft's type of an address of the family.
	AddrType string
	Vars     Vars
	// Addresses are the node's own, where NodePort traffic is taken.
	Addresses []netip.Addr
	// ServicePorts are those that weft steers in this family, in the order of
	// the state file.
	ServicePorts []*ServicePort
}

// ServicePort is one port of a Service with its endpoints of one family.
type ServicePort struct {
	Namespace, Name, Port string
	// ID is namespace/name:port, or namespace/name where the port has no name.
	ID        string
	Protocol  string
	NodePort  uint16
	Family    *Family
	Vars      Vars
	Endpoints []*Endpoint

	node    string
	records []state.Endpoint // of this family: what Endpoints show
	origin  *state.ServicePort
}

// Endpoint is an address and port with its share of new connections.
type Endpoint struct {
	Address netip.Addr
	Port    uint16
	// AddrPort is both, as nft's dnat takes them: IPv6 in brackets.
	AddrPort string
	Node     string
	// Local is whether the endpoint is on the node that the rules are for.
	Local bool
	// Share is 0 to 1; 0 takes no new connection.
	Share float64

	servicePort *ServicePort
}

// Percent is the share as people read it, such as 12.5%.
func (e *Endpoint) Percent() string {
	return strconv.FormatFloat(e.Share*100, 'g', 4, 64) + "%"
}

// Protocols lists the protocols that the family's ServicePorts have, sorted.
func (f *Family) Protocols() []string {
	var found []string
	for _, p := range f.ServicePorts {
		if !slices.Contains(found, p.Protocol) {
			found = append(found, p.Protocol)
		}
	}
	slices.Sort(found)
	return found
}

// NodePorts lists the nodePorts of one protocol, sorted.
func (f *Family) NodePorts(protocol string) []uint16 {
	var ports []uint16
	for _, p := range f.ServicePorts {
		if p.Protocol == protocol {
			ports = append(ports, p.NodePort)
		}
	}
	slices.Sort(ports)
	return ports
}

// LocalEndpoints lists the addresses of the endpoints that are on this node,
// each once, sorted.
func (f *Family) LocalEndpoints() []netip.Addr {
	var local []netip.Addr
	for _, p := range f.ServicePorts {
		for _, e := range p.Endpoints {
			if e.Local {
				local = append(local, e.Address)
			}
		}
	}
	slices.SortFunc(local, netip.Addr.Compare)
	return slices.Compact(local)
}

// newData shows a state to templates, without the ServicePorts in leftOut.
func newData(st *state.State, vars Vars, leftOut map[*state.ServicePort]bool) *Data {
	data := &Data{Node: st.Node, Vars: vars}
	for _, family := range []*Family{
		{Name: "ip", AddrType: "ipv4_addr", Vars: vars},
		{Name: "ip6", AddrType: "ipv6_addr", Vars: vars},
	} {
		for _, a := range st.Addresses {
			if a.Is4() == (family.Name == "ip") {
				family.Addresses = append(family.Addresses, a)
			}
		}
		if len(family.Addresses) == 0 {
			continue
		}
		for _, p := range st.ServicePorts {
			if view := newServicePort(st.Node, p, family); view != nil && !leftOut[p] {
				family.ServicePorts = append(family.ServicePorts, view)
			}
		}
		data.Families = append(data.Families, family)
	}
	return data
}

// newServicePort is nil for a ServicePort that takes no new connection in the
// family: absence is what leaves it to kube-proxy.
func newServicePort(node string, p *state.ServicePort, family *Family) *ServicePort {
	if !p.Steered() {
		return nil
	}
	view := &ServicePort{
		Namespace: p.Namespace, Name: p.Name, Port: p.Port, ID: p.ID(),
		Protocol: string(p.Protocol), NodePort: p.NodePort,
		Family: family, Vars: family.Vars, node: node, origin: p,
	}
	open := false
	for _, e := range p.Endpoints {
		if e.Address.Is4() != (family.Name == "ip") {
			continue
		}
		open = open || e.Share > 0
		view.records = append(view.records, e)
	}
	if !open {
		return nil
	}
	endpoints := make([]Endpoint, len(view.records))
	view.Endpoints = make([]*Endpoint, len(view.records))
	for i, e := range view.records {
		endpoints[i] = Endpoint{
			Address: e.Address, Port: e.Port, AddrPort: e.AddrPort().String(),
			Node: e.Node, Local: e.Node != "" && e.Node == node, Share: e.Share, servicePort: view,
		}
		view.Endpoints[i] = &endpoints[i]
	}
	return view
}

// fill puts the ServicePort's fields in the place of {name} in a pattern.
func (p *ServicePort) fill(pattern, hash string) string {
	return strings.NewReplacer(
		"{hash}", hash, "{namespace}", p.Namespace, "{name}", p.Name,
		"{protocol}", p.Protocol, "{port}", p.Port, "{nodePort}", strconv.Itoa(int(p.NodePort)),
	).Replace(pattern)
}
