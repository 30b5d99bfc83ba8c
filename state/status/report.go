package status

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weft/state"
)

// Report is a Status with what the state says, in the form in which it is
// printed.
type Report struct {
	Status `yaml:",inline"`
	// Traffic is absent if connections are not counted.
	Traffic      *Traffic      `json:"traffic,omitempty" yaml:"traffic,omitempty"`
	Nodes        []Node        `json:"nodes" yaml:"nodes"`
	ServicePorts []ServicePort `json:"servicePorts" yaml:"servicePorts"`
}

// Node is a node of the cluster.
type Node struct {
	Name    string `json:"name" yaml:"name"`
	Address string `json:"address" yaml:"address"`
	Cores   int    `json:"cores,omitempty" yaml:"cores,omitempty"`
	// What is not known is absent.
	Latency     *Latency  `json:"latency,omitempty" yaml:"latency,omitempty"`
	CPU         *CPU      `json:"cpu,omitempty" yaml:"cpu,omitempty"`
	Unreachable time.Time `json:"unreachable,omitzero" yaml:"unreachable,omitempty"`
	// Factor is what measurements make of the node's base weight, the mean over
	// the ServicePorts for which they are looked at; absent if there is none.
	Factor *float64 `json:"factor,omitempty" yaml:"factor,omitempty"`
	// Share is the part of new connections that the node should get, the mean
	// over the ServicePorts that are steered.
	Share float64 `json:"share" yaml:"share"`
	// Seen is what it really got of the new connections through this node's
	// NodePorts; absent if there were none, or nobody counted.
	Seen *Seen `json:"seen,omitempty" yaml:"seen,omitempty"`
	// Endpoints counts those of steered ServicePorts.
	Endpoints int `json:"endpoints" yaml:"endpoints"`
}

// Latency is the time that a node needs to answer.
type Latency struct {
	Seconds  float64   `json:"seconds" yaml:"seconds"`
	Measured time.Time `json:"measured" yaml:"measured"`
	Source   string    `json:"source,omitempty" yaml:"source,omitempty"`
}

// CPU is the part of a node's cores that is busy, 0 to 1.
type CPU struct {
	Ratio    float64   `json:"ratio" yaml:"ratio"`
	Measured time.Time `json:"measured" yaml:"measured"`
	Source   string    `json:"source,omitempty" yaml:"source,omitempty"`
}

// ServicePort is one port of a Service that has a nodePort.
type ServicePort struct {
	ID       string         `json:"id" yaml:"id"`
	Protocol state.Protocol `json:"protocol" yaml:"protocol"`
	NodePort uint16         `json:"nodePort" yaml:"nodePort"`
	Policy   state.Policy   `json:"policy,omitempty" yaml:"policy,omitempty"`
	Skipped  string         `json:"skipped,omitempty" yaml:"skipped,omitempty"`
	Held     []state.Hold   `json:"held,omitempty" yaml:"held,omitempty"`
	// Connections are those that came through this node's NodePort lately.
	Connections uint64     `json:"connections,omitempty" yaml:"connections,omitempty"`
	Endpoints   []Endpoint `json:"endpoints,omitempty" yaml:"endpoints,omitempty"`
}

// Endpoint is an address and port that serves a ServicePort.
type Endpoint struct {
	Address netip.AddrPort `json:"address" yaml:"address"`
	Node    string         `json:"node,omitempty" yaml:"node,omitempty"`
	Weight  *float64       `json:"weight,omitempty" yaml:"weight,omitempty"`
	// Share is the part of new connections that it should get, 0 to 1 of its
	// address family.
	Share float64 `json:"share" yaml:"share"`
	// Seen is what it really got of those of its ServicePort and address family;
	// absent if there were none, or nobody counted.
	Seen *Seen `json:"seen,omitempty" yaml:"seen,omitempty"`
}

// Report is the Status with what the state says. Its work grows with the state.
func (r *Recorder) Report() Report { return NewReport(r.Status(), r.Traffic()) }

// NewReport reads the state of a Status and what was counted; both may be nil.
func NewReport(s Status, traffic *Traffic) Report {
	report := Report{Status: s, Traffic: traffic}
	if s.State == nil {
		return report
	}
	report.Nodes = Nodes(s.State)
	for _, p := range s.State.ServicePorts {
		report.ServicePorts = append(report.ServicePorts, servicePort(p, s.Rules.LeftOut))
	}
	traffic.enter(report.Nodes, report.ServicePorts)
	return report
}

func servicePort(p *state.ServicePort, leftOut map[string]string) ServicePort {
	v := ServicePort{ID: p.ID(), Protocol: p.Protocol, NodePort: p.NodePort, Policy: p.Policy, Skipped: p.Skipped, Held: p.Held}
	if reason, out := leftOut[v.ID]; out && v.Skipped == "" {
		v.Skipped = "its template failed: " + reason
	}
	for _, e := range p.Endpoints {
		v.Endpoints = append(v.Endpoints, Endpoint{Address: e.AddrPort(), Node: e.Node, Weight: e.Weight, Share: e.Share})
	}
	return v
}

// Nodes are the nodes of a state, sorted by name, with those that only endpoints
// name. Endpoints of which no node is known count for none.
func Nodes(st *state.State) []Node {
	all := sum(st)
	nodes := make([]Node, 0, len(all))
	for i := range st.Nodes {
		n := node(&st.Nodes[i])
		if t := all[n.Name]; t != nil {
			t.enter(&n)
			delete(all, n.Name)
		}
		nodes = append(nodes, n)
	}
	for name, t := range all {
		n := Node{Name: name}
		t.enter(&n)
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes
}

func node(n *state.Node) Node {
	v := Node{Name: n.Name, Cores: n.Cores, Unreachable: n.Unreachable}
	if n.Address.IsValid() {
		v.Address = n.Address.String()
	}
	if n.Latency != nil {
		v.Latency = &Latency{n.Latency.Seconds, n.Latency.Measured, n.Latency.Source}
	}
	if n.CPU != nil {
		v.CPU = &CPU{n.CPU.Ratio, n.CPU.Measured, n.CPU.Source}
	}
	return v
}

// totals are what ServicePorts say about a node, added up.
type totals struct {
	share, factor              float64
	steered, factors, endpoint int
}

func sum(st *state.State) map[string]*totals {
	all := map[string]*totals{}
	of := func(name string) *totals {
		if all[name] == nil {
			all[name] = &totals{}
		}
		return all[name]
	}
	steered := 0
	for _, p := range st.ServicePorts {
		if !p.Steered() {
			continue
		}
		steered++
		families := float64(countFamilies(p))
		for _, e := range p.Endpoints {
			if e.Node != "" {
				t := of(e.Node)
				t.endpoint++
				t.share += e.Share / families
			}
		}
		for _, f := range p.Factors {
			if product, ok := Product(f); ok && f.Node != "" {
				t := of(f.Node)
				t.factor += product
				t.factors++
			}
		}
	}
	for _, t := range all {
		t.steered = steered
	}
	return all
}

// countFamilies is how many address families the endpoints have: the shares of
// each sum to 1.
func countFamilies(p *state.ServicePort) int {
	v4, v6 := 0, 0
	for _, e := range p.Endpoints {
		if e.Address.Is4() {
			v4 = 1
		} else {
			v6 = 1
		}
	}
	return cmp.Or(v4+v6, 1)
}

// Product is all that measurements make of a node's base weight; false if none
// is looked at.
func Product(f state.Factor) (float64, bool) {
	product, known := 1.0, false
	for _, v := range []*float64{f.Latency, f.Trim, f.Guard} {
		if v != nil {
			product, known = product*(*v), true
		}
	}
	return product, known && !math.IsInf(product, 0)
}

func (t *totals) enter(n *Node) {
	n.Endpoints = t.endpoint
	if t.steered > 0 {
		n.Share = t.share / float64(t.steered)
	}
	if t.factors > 0 {
		mean := t.factor / float64(t.factors)
		n.Factor = &mean
	}
}

// Skipped counts the ServicePorts that are left to kube-proxy, by reason.
func (r *Report) Skipped() map[string]int {
	reasons := map[string]int{}
	for _, p := range r.ServicePorts {
		if p.Skipped != "" {
			reasons[p.Skipped]++
		}
	}
	return reasons
}

// Is reports whether a name means the ServicePort: its ID, that of its Service,
// or its protocol and nodePort, such as tcp/30000.
func (p *ServicePort) Is(name string) bool {
	service, _, _ := strings.Cut(p.ID, ":")
	return name == p.ID || name == service || name == fmt.Sprintf("%s/%d", p.Protocol, p.NodePort)
}
