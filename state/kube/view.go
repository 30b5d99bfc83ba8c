package kube

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"weft/state"
)

// caches are what the informers hold.
type caches interface {
	// service is nil if there is none, or none that could have a nodePort.
	service(types.NamespacedName) *keptService
	// slices are those of a Service.
	slices(types.NamespacedName) []*keptSlice
	// node is nil if there is none.
	node(name string) *corev1.Node
	nodes() []*corev1.Node
	serviceRanges() []string
}

// view is what was made of the caches, and what must be made anew.
type view struct {
	config Config
	caches caches
	// tell is called when what is wrong with the annotations of a Service changed.
	// speak says that this node is the one to tell its owner.
	tell func(svc *keptService, problem error, speak bool)

	mu      sync.Mutex
	touched map[types.NamespacedName]struct{}
	moved   bool // something about nodes or Service ranges changed

	// What follows belongs to the goroutine that asks for the state.
	around   surroundings
	last     state.State
	made     map[types.NamespacedName][]*state.ServicePort
	problems map[types.NamespacedName]string
	weighed  map[types.NamespacedName]struct{} // Services with weights, which may depend on labels of nodes
	nodePort map[nodePort]int                  // how many ServicePorts have it
}

type nodePort struct {
	protocol state.Protocol
	number   uint16
}

func newView(config Config, caches caches, tell func(*keptService, error, bool)) *view {
	return &view{
		config: config, caches: caches, tell: tell,
		touched: map[types.NamespacedName]struct{}{}, moved: true,
		made: map[types.NamespacedName][]*state.ServicePort{}, problems: map[types.NamespacedName]string{},
		weighed: map[types.NamespacedName]struct{}{}, nodePort: map[nodePort]int{},
	}
}

// touch notes that a Service or one of its slices changed.
func (v *view) touch(key types.NamespacedName) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.touched[key] = struct{}{}
}

// move notes that a node or a Service range changed.
func (v *view) move() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.moved = true
}

// take returns what was noted since the last time.
func (v *view) take() (touched map[types.NamespacedName]struct{}, moved bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	touched, moved = v.touched, v.moved
	v.touched, v.moved = map[types.NamespacedName]struct{}{}, false
	return touched, moved
}

// state is what follows from the caches now.
func (v *view) state() *state.State {
	touched, moved := v.take()
	if moved {
		v.look(touched)
	}
	if len(touched) > 0 {
		v.last.ServicePorts = v.convert(touched)
	}
	st := v.last
	st.ServicePorts = v.withoutConflicts(st.ServicePorts)
	return &st
}

// look reads the nodes and ranges again, and adds the Services that depend on
// what changed to those that were touched.
func (v *view) look(touched map[types.NamespacedName]struct{}) {
	next, addresses := v.config.surroundings(v.caches)
	if !next.sameFor(&v.around) {
		for key := range v.made {
			touched[key] = struct{}{}
		}
	}
	for key := range v.weighed {
		touched[key] = struct{}{}
	}
	v.around = next
	v.last.Node, v.last.Addresses = v.config.Node, addresses
	v.last.Nodes = nil
	for _, n := range v.caches.nodes() {
		if made, ok := nodeOf(n); ok {
			v.last.Nodes = append(v.last.Nodes, made)
		}
	}
	slices.SortFunc(v.last.Nodes, func(a, b state.Node) int { return strings.Compare(a.Name, b.Name) })
}

// convert makes the ServicePorts of what was touched anew and returns the list of
// all. ServicePorts that come out the same keep their pointers, and the list that
// was handed out before stays as it is.
func (v *view) convert(touched map[types.NamespacedName]struct{}) []*state.ServicePort {
	list := slices.Clone(v.last.ServicePorts)
	for key := range touched {
		before := v.made[key]
		after := v.convertOne(key, before)
		if slices.Equal(before, after) {
			continue
		}
		list = v.replace(list, before, after)
		v.made[key] = after
		if len(after) == 0 {
			delete(v.made, key)
		}
	}
	return list
}

func (v *view) convertOne(key types.NamespacedName, before []*state.ServicePort) []*state.ServicePort {
	svc := v.caches.service(key)
	delete(v.weighed, key)
	if svc == nil {
		delete(v.problems, key)
		return nil
	}
	if svc.annotations[annotationWeights] != "" {
		v.weighed[key] = struct{}{}
	}
	endpoints := v.caches.slices(key)
	made, problem := v.around.servicePorts(svc, endpoints)
	v.complain(key, svc, problem, endpoints)
	for i, p := range made {
		p.Skipped = cmp.Or(p.Skipped, v.invalid(p))
		if p.Skipped != "" {
			p.Endpoints = nil
		}
		if at := slices.IndexFunc(before, func(q *state.ServicePort) bool { return reflect.DeepEqual(p, q) }); at >= 0 {
			made[i] = before[at]
		}
	}
	return made
}

// invalid is what the state would refuse about a ServicePort. There should be
// nothing left to be found, but one refused ServicePort would stop all others.
func (v *view) invalid(p *state.ServicePort) string {
	alone := state.State{Node: v.last.Node, Addresses: v.last.Addresses, ServicePorts: []*state.ServicePort{p}}
	if err := state.Validate(&alone); err != nil {
		return reason(err.Error())
	}
	return ""
}

// complain tells of what is wrong with annotations when that changes.
func (v *view) complain(key types.NamespacedName, svc *keptService, problem error, endpoints []*keptSlice) {
	text := ""
	if problem != nil {
		text = problem.Error()
	}
	if v.problems[key] == text {
		return
	}
	v.problems[key] = text
	if text == "" {
		delete(v.problems, key)
		return
	}
	if v.tell != nil {
		v.tell(svc, problem, v.speaks(endpoints))
	}
}

// speaks reports whether this node is the first of those that have an endpoint,
// or of all where none has: every node comes to the same conclusions, and one
// Event is enough.
func (v *view) speaks(endpoints []*keptSlice) bool {
	first := ""
	for _, slice := range endpoints {
		for i := range slice.endpoints {
			if name := slice.endpoints[i].node; name != "" && (first == "" || name < first) {
				first = name
			}
		}
	}
	if first == "" && len(v.last.Nodes) > 0 {
		first = v.last.Nodes[0].Name
	}
	return first == v.config.Node
}

// replace changes a sorted list.
func (v *view) replace(list, before, after []*state.ServicePort) []*state.ServicePort {
	for _, p := range before {
		if at, ok := slices.BinarySearchFunc(list, p, (*state.ServicePort).Compare); ok {
			list = slices.Delete(list, at, at+1)
		}
		v.count(p, -1)
	}
	for _, p := range after {
		at, _ := slices.BinarySearchFunc(list, p, (*state.ServicePort).Compare)
		list = slices.Insert(list, at, p)
		v.count(p, 1)
	}
	return list
}

func (v *view) count(p *state.ServicePort, by int) {
	key := nodePort{p.Protocol, p.NodePort}
	if v.nodePort[key] += by; v.nodePort[key] == 0 {
		delete(v.nodePort, key)
	}
}

// withoutConflicts leaves the nodePorts that more than one ServicePort has to
// kube-proxy. The API server gives each out once, but Services of several
// namespaces arrive in any order when one goes and another comes. A state can
// name a nodePort once only, so the first by name stands for all.
func (v *view) withoutConflicts(list []*state.ServicePort) []*state.ServicePort {
	if len(v.nodePort) == len(list) {
		return list
	}
	twice := maps.Clone(v.nodePort)
	maps.DeleteFunc(twice, func(_ nodePort, n int) bool { return n < 2 })
	var kept []*state.ServicePort
	for _, p := range list {
		key := nodePort{p.Protocol, p.NodePort}
		if n, ok := twice[key]; ok {
			if n == 0 {
				continue
			}
			twice[key] = 0
			skipped := *p
			skipped.Endpoints, skipped.Skipped = nil, "more than one Service has this nodePort"
			p = &skipped
		}
		kept = append(kept, p)
	}
	return kept
}
