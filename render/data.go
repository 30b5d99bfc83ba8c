package render

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"weft/state"
)

// What templates see comes in two kinds, so that a Renderer knows what a text was
// made of. A [ServicePort] and all that belongs to it never changes: another share
// is another ServicePort. A [Data] and a [Family] stay the same for as long as the
// Renderer does, and what changes about them is behind functions that note that
// they were asked (see source). Nothing that a template can do with a value leads
// around them, since neither package reflect nor fmt can look into a function.

// Data is what a template set is executed with: the part of a state that rules
// depend on. Times, measurements and the generation are left out, so that they
// alone never change a rule.
type Data struct {
	// Node is the name of the node that the rules are for.
	Node string
	Vars Vars

	source func(dependency) *sources
}

// Families are those that the node has addresses of, ip before ip6.
func (d *Data) Families() []*Family { return slices.Clone(d.source(onFamilies).present) }

// Family is one address family of a ruleset: what one table holds.
type Family struct {
	// Name is nft's name of the family: ip or ip6.
	Name string
	// AddrType is nft's type of an address of the family.
	AddrType string
	Vars     Vars

	v6     bool
	source func(dependency) *familySource
	shown  shown
}

// shown are the ServicePorts of which endpoints were made for the templates that are
// being executed, so that none of the others need be looked at when these are done.
type shown struct {
	mu   sync.Mutex // a crew executes templates
	list []*ServicePort
}

func (s *shown) add(p *ServicePort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, p)
}

// forget lets go of what was made. The templates are done.
func (s *shown) forget() {
	for _, p := range s.list {
		p.shown.Store(nil)
	}
	s.list = nil
}

// Addresses are the node's own, where NodePort traffic is taken.
func (f *Family) Addresses() []netip.Addr { return slices.Clone(f.source(onAddresses).addresses) }

// ServicePorts are those that weft steers in this family, in the order of the
// state file.
func (f *Family) ServicePorts() []*ServicePort {
	// No copy, since there may be thousands: no function that a template has
	// changes a list of these.
	return f.source(onServicePorts).servicePorts
}

// Protocols lists the protocols that the family's ServicePorts have, sorted.
func (f *Family) Protocols() []string { return f.source(onServicePorts).ports.protocols() }

// NodePorts lists the nodePorts of one protocol, sorted.
func (f *Family) NodePorts(protocol string) []uint16 {
	return f.source(onServicePorts).ports.of(protocol)
}

// LocalEndpoints lists the addresses of the endpoints that are on this node,
// each once, sorted.
func (f *Family) LocalEndpoints() []netip.Addr {
	var local []netip.Addr
	for _, p := range f.ServicePorts() {
		local = append(local, p.local...)
	}
	slices.SortFunc(local, netip.Addr.Compare)
	return slices.Compact(local)
}

// ServicePort is one port of a Service with its endpoints of one family.
type ServicePort struct {
	Namespace, Name, Port string
	// ID is namespace/name:port, or namespace/name where the port has no name.
	ID       string
	Protocol string
	NodePort uint16
	// Affinity is clientIP where all connections of a client go to one endpoint, and
	// empty where each goes anywhere.
	Affinity string
	Family   *Family
	Vars     Vars

	node    string
	records []state.Endpoint            // of this family: what Endpoints show
	shown   atomic.Pointer[[]*Endpoint] // for as long as the templates are executed
	local   []netip.Addr                // of the endpoints on this node
	chain   atomic.Pointer[string]      // its name, once asked for, by whoever was first

	origin *state.ServicePort // the newest record that says the same
	kept   []kept             // what templates wrote for it
	failed *Error             // what came of the template failing for it, if that is known
	opaque func()             // makes two of them different to reflect.DeepEqual, whatever the above
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
func (e *Endpoint) Percent() string { return percent(e.Share) }

func percent(share float64) string {
	return strconv.FormatFloat(share*100, 'g', 4, 64) + "%"
}

// String is what identifies the data. Format gives it for every verb, where fmt
// would print the addresses that the data has in memory; text/template looks for
// String alone.
func (d *Data) String() string        { return "node " + d.Node }
func (f *Family) String() string      { return f.Name }
func (p *ServicePort) String() string { return p.ID }
func (e *Endpoint) String() string    { return e.AddrPort }

// Format prints String.
func (d *Data) Format(s fmt.State, verb rune)        { format(s, verb, d.String()) }
func (f *Family) Format(s fmt.State, verb rune)      { format(s, verb, f.String()) }
func (p *ServicePort) Format(s fmt.State, verb rune) { format(s, verb, p.String()) }
func (e *Endpoint) Format(s fmt.State, verb rune)    { format(s, verb, e.String()) }

func format(f fmt.State, verb rune, text string) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), text)
}

// newServicePort is nil for a ServicePort that takes no new connection in the
// family: absence is what leaves it to kube-proxy.
func newServicePort(node string, p *state.ServicePort, family *Family) *ServicePort {
	if !p.Steered() {
		return nil
	}
	records, open := inFamily(p, family)
	if !open {
		return nil
	}
	view := &ServicePort{
		Namespace: p.Namespace, Name: p.Name, Port: p.Port, ID: p.ID(),
		Protocol: string(p.Protocol), NodePort: p.NodePort, Affinity: string(p.Affinity),
		Family: family, Vars: family.Vars, node: node, origin: p, records: records, opaque: func() {},
	}
	for i := range records {
		if view.isLocal(&records[i]) {
			view.local = append(view.local, records[i].Address)
		}
	}
	return view
}

func (p *ServicePort) isLocal(e *state.Endpoint) bool { return e.Node != "" && e.Node == p.node }

// Endpoints are those of the family, in the order of the state file. They are the
// same each time that a template asks while it is executed, and nobody keeps them
// after that: they would be twice as much as the records.
func (p *ServicePort) Endpoints() []*Endpoint {
	if shown := p.shown.Load(); shown != nil {
		return *shown
	}
	list, all := make([]*Endpoint, len(p.records)), make([]Endpoint, len(p.records))
	for i := range p.records {
		e := &p.records[i]
		all[i] = Endpoint{
			Address: e.Address, Port: e.Port, AddrPort: e.AddrPort().String(),
			Node: e.Node, Local: p.isLocal(e), Share: e.Share, servicePort: p,
		}
		list[i] = &all[i]
	}
	if !p.shown.CompareAndSwap(nil, &list) {
		return *p.shown.Load() // of who was first
	}
	p.Family.shown.add(p)
	return list
}

// inFamily are the endpoints of one family, and whether any takes connections.
func inFamily(p *state.ServicePort, family *Family) (records []state.Endpoint, open bool) {
	n := 0
	for i := range p.Endpoints {
		if family.holds(p.Endpoints[i].Address) {
			n++
			open = open || p.Endpoints[i].Share > 0
		}
	}
	if n == len(p.Endpoints) {
		return p.Endpoints, open
	}
	records = make([]state.Endpoint, 0, n)
	for i := range p.Endpoints {
		if family.holds(p.Endpoints[i].Address) {
			records = append(records, p.Endpoints[i])
		}
	}
	return records, open
}

func (f *Family) holds(a netip.Addr) bool { return a.Is4() != f.v6 }

// fill puts the ServicePort's fields in the place of {name} in a pattern.
func (p *ServicePort) fill(pattern, hash string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(pattern, "{")
		name, after, closed := strings.Cut(rest, "}")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		if value, known := p.field(name, hash); closed && known {
			b.WriteString(value)
			pattern = after
		} else {
			b.WriteByte('{')
			pattern = rest
		}
	}
}

func (p *ServicePort) field(name, hash string) (value string, known bool) {
	switch name {
	case "hash":
		return hash, true
	case "namespace":
		return p.Namespace, true
	case "name":
		return p.Name, true
	case "protocol":
		return p.Protocol, true
	case "port":
		return p.Port, true
	case "nodePort":
		return strconv.Itoa(int(p.NodePort)), true
	}
	return "", false
}
