package state

import (
	"net/netip"
	"time"

	"weft/state/strict"
)

// The kinds of documents in a state file.
const (
	kindState       = "State"
	kindServicePort = "ServicePort"
)

// headerDocument is the first document of a state file as strict reads it.
type headerDocument struct {
	APIVersion   string         `yaml:"apiVersion" strict:"required"`
	Kind         string         `yaml:"kind" strict:"required"`
	Node         string         `yaml:"node" strict:"required"`
	Generation   uint64         `yaml:"generation"`
	Written      time.Time      `yaml:"written"`
	Addresses    []netip.Addr   `yaml:"addresses" strict:"required"`
	ServicePorts int            `yaml:"servicePorts" strict:"required,min=0"`
	Endpoints    *int           `yaml:"endpoints" strict:"min=0"`
	Nodes        []nodeDocument `yaml:"nodes"`
}

type nodeDocument struct {
	Name    string           `yaml:"name" strict:"required"`
	Address netip.Addr       `yaml:"address" strict:"required"`
	Cores   *int             `yaml:"cores" strict:"min=1"`
	Latency *latencyDocument `yaml:"latency"`
	CPU     *cpuDocument     `yaml:"cpu"`
	// Unreachable is absent for a node that answers.
	Unreachable time.Time `yaml:"unreachable"`
}

type latencyDocument struct {
	Seconds  float64   `yaml:"seconds" strict:"required"`
	Measured time.Time `yaml:"measured" strict:"required"`
	Source   string    `yaml:"source"`
}

type cpuDocument struct {
	Ratio    float64   `yaml:"ratio" strict:"required,min=0,max=1"`
	Measured time.Time `yaml:"measured" strict:"required"`
	Source   string    `yaml:"source"`
}

// servicePortDocument is every other document.
type servicePortDocument struct {
	Kind      string             `yaml:"kind" strict:"required"`
	Namespace string             `yaml:"namespace" strict:"required"`
	Name      string             `yaml:"name" strict:"required"`
	Port      string             `yaml:"port" strict:"required"`
	Protocol  string             `yaml:"protocol" strict:"required"`
	NodePort  uint16             `yaml:"nodePort" strict:"required,min=1"`
	Policy    *Policy            `yaml:"policy"`
	Affinity  *Affinity          `yaml:"affinity"`
	Skipped   *string            `yaml:"skipped"`
	Held      []Hold             `yaml:"held"`
	Factors   []factorDocument   `yaml:"factors"`
	Endpoints []endpointDocument `yaml:"endpoints"`
}

type factorDocument struct {
	Node    string     `yaml:"node"`
	Address netip.Addr `yaml:"address"`
	Base    *float64   `yaml:"base"`
	Latency *float64   `yaml:"latency"`
	Trim    *float64   `yaml:"trim"`
	Guard   *float64   `yaml:"guard"`
	Target  float64    `yaml:"target" strict:"required,min=0,max=1"`
	Share   float64    `yaml:"share" strict:"required,min=0,max=1"`
}

type endpointDocument struct {
	Address netip.Addr `yaml:"address" strict:"required"`
	Port    uint16     `yaml:"port" strict:"required,min=1"`
	Node    string     `yaml:"node"`
	Weight  *float64   `yaml:"weight" strict:"min=0"`
	Share   float64    `yaml:"share" strict:"required,min=0,max=1"`
}

func (h *headerDocument) state() *State {
	s := &State{Node: h.Node, Generation: h.Generation, Written: h.Written}
	if len(h.Addresses) > 0 {
		s.Addresses = h.Addresses
	}
	for _, n := range h.Nodes {
		s.Nodes = append(s.Nodes, n.node())
	}
	return s
}

func (n *nodeDocument) node() Node {
	node := Node{Name: n.Name, Address: n.Address, Unreachable: n.Unreachable}
	if n.Cores != nil {
		node.Cores = *n.Cores
	}
	if n.Latency != nil {
		latency := Latency(*n.Latency)
		node.Latency = &latency
	}
	if n.CPU != nil {
		cpu := CPU(*n.CPU)
		node.CPU = &cpu
	}
	return node
}

func (d *servicePortDocument) servicePort() *ServicePort {
	p := &ServicePort{Namespace: d.Namespace, Name: d.Name, Port: d.Port, Protocol: Protocol(d.Protocol), NodePort: d.NodePort}
	if d.Policy != nil {
		p.Policy = *d.Policy
	}
	if d.Affinity != nil {
		p.Affinity = *d.Affinity
	}
	if d.Skipped != nil {
		p.Skipped = *d.Skipped
	}
	if len(d.Held) > 0 {
		p.Held = d.Held
	}
	if len(d.Factors) > 0 {
		p.Factors = make([]Factor, len(d.Factors))
	}
	for i, f := range d.Factors {
		p.Factors[i] = Factor(f)
	}
	if len(d.Endpoints) > 0 {
		p.Endpoints = make([]Endpoint, len(d.Endpoints))
	}
	for i, e := range d.Endpoints {
		p.Endpoints[i] = Endpoint(e)
	}
	return p
}

// readHeader reads the first document the strict way. The State is nil if it is
// no header of this version, of which nothing else can be said.
func readHeader(file string, line int, text []byte) (s *State, want counts, problems []*strict.Problem) {
	c := newCollector(file, line, text)
	if v, ok := c.doc.Scalar("apiVersion"); ok && v != APIVersion {
		c.report("apiVersion", "got "+strict.Quote(v)+", this build reads "+APIVersion)
		return nil, counts{}, c.problems
	}
	if c.isWrongKind(kindState) {
		return nil, counts{}, c.problems
	}
	var h headerDocument
	c.decode(&h)
	s = h.state()
	checkHeader(s, c.report)
	want = counts{h.ServicePorts, -1}
	if h.Endpoints != nil {
		want.endpoints = *h.Endpoints
	}
	return s, want, c.problems
}

// readServicePort reads any other document the strict way.
func readServicePort(file string, line int, text []byte) (*ServicePort, []*strict.Problem) {
	c := newCollector(file, line, text)
	if c.isWrongKind(kindServicePort) {
		return nil, c.problems
	}
	var d servicePortDocument
	c.decode(&d)
	p := d.servicePort()
	checkServicePort(p, c.report)
	if d.Policy != nil && *d.Policy == "" {
		c.report("policy", "got \"\", expected "+expectedPolicy)
	}
	if d.Affinity != nil && *d.Affinity == "" {
		c.report("affinity", "got \"\", expected "+expectedAffinity)
	}
	if d.Skipped != nil && *d.Skipped == "" {
		c.report("skipped", "got \"\", expected the reason, or no field skipped")
	}
	if len(c.problems) == 0 {
		checkEndpoints(p, c.report)
	}
	return p, c.problems
}

// collector gathers the problems of one document: those that strict finds, and
// those of the checks.
type collector struct {
	file     string
	doc      *strict.Document
	problems []*strict.Problem
	told     map[string]bool
}

func newCollector(file string, line int, text []byte) *collector {
	return &collector{file: file, doc: strict.Parse(file, line, text), told: map[string]bool{}}
}

// isWrongKind looks at the kind first, since a document of another kind would be
// one unknown field after the other.
func (c *collector) isWrongKind(want string) bool {
	kind, ok := c.doc.Scalar("kind")
	if !ok || kind == want {
		return false
	}
	c.report("kind", "got "+strict.Quote(kind)+", expected "+want)
	return true
}

func (c *collector) decode(into any) {
	c.problems = c.doc.Decode(into)
	for _, p := range c.problems {
		c.told[p.Field] = true
	}
}

// report adds a problem, unless there is one about that value already: one that
// could not be read fails the checks too.
func (c *collector) report(path, message string) {
	if c.hasTold(path) {
		return
	}
	c.problems = append(c.problems, &strict.Problem{File: c.file, Line: c.doc.Line(path), Field: path, Message: message})
}

func (c *collector) hasTold(path string) bool {
	for i := len(path); i > 0; i-- {
		if (i == len(path) || path[i] == '.' || path[i] == '[') && c.told[path[:i]] {
			return true
		}
	}
	return c.told[""]
}
