package kube

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"pgregory.net/rapid"

	"weft/state"
)

// cluster holds objects as the informers would, without an API server.
type cluster struct {
	t  interface{ Fatal(...any) }
	in *informed
	v  *view
	// told are the complaints about annotations.
	told []string
}

func newCluster(t interface{ Fatal(...any) }, config Config, objects ...any) *cluster {
	c := &cluster{t: t, in: &informed{
		scopes: map[string]scope{"": {
			services: cache.NewStore(cache.MetaNamespaceKeyFunc),
			slices:   cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{byService: indexByService}),
		}},
		nodeStore: cache.NewStore(cache.MetaNamespaceKeyFunc),
		ranges:    cache.NewStore(cache.MetaNamespaceKeyFunc),
	}}
	c.v = newView(config, c.in, func(svc *keptService, problem error, speak bool) {
		if speak {
			c.told = append(c.told, svc.name+": "+problem.Error())
		}
	})
	c.put(objects...)
	return c
}

// put makes objects be there, trimmed as the informers trim them.
func (c *cluster) put(objects ...any) {
	for _, o := range objects {
		kept, err := trim(o)
		if err == nil {
			err = c.storeOf(o).Add(kept)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		c.noted(kept)
	}
}

func (c *cluster) remove(objects ...any) {
	for _, o := range objects {
		kept, err := trim(o)
		if err == nil {
			err = c.storeOf(o).Delete(kept)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		c.noted(kept)
	}
}

func (c *cluster) storeOf(o any) cache.Store {
	switch o.(type) {
	case *corev1.Service:
		return c.in.scopes[""].services
	case *discoveryv1.EndpointSlice:
		return c.in.scopes[""].slices
	case *corev1.Node:
		return c.in.nodeStore
	}
	return c.in.ranges
}

func (c *cluster) noted(o any) {
	switch o := o.(type) {
	case *keptService:
		c.v.touch(types.NamespacedName{Namespace: o.namespace, Name: o.name})
	case *keptSlice:
		if key, ok := serviceOf(o); ok {
			c.v.touch(key)
		}
	default:
		c.v.move()
	}
}

// state checks what it returns: it must be one that can be written.
func (c *cluster) state() *state.State {
	st := c.v.state()
	if err := state.Validate(st); err != nil {
		c.t.Fatal("the state is refused: ", err)
	}
	return st
}

// lines are the ServicePorts, one each: ID protocol/nodePort -> endpoints or the
// reason.
func (c *cluster) lines() (lines []string) {
	for _, p := range c.state().ServicePorts {
		lines = append(lines, oneOf(p))
	}
	return lines
}

func oneOf(p *state.ServicePort) string {
	text := fmt.Sprintf("%s %s/%d", p.ID(), p.Protocol, p.NodePort)
	if p.Policy != "" {
		text += " " + string(p.Policy)
	}
	if !p.Steered() {
		return text + ": " + p.Skipped
	}
	for _, e := range p.Endpoints {
		text += fmt.Sprintf(" %s@%s=%.3g", e.AddrPort(), e.Node, e.Share)
	}
	return text
}

func config() Config { return Config{Node: "n1", MinNodes: 2} }

func node(name string, addresses ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, a := range addresses {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	return n
}

func withLabel(n *corev1.Node, key, value string) *corev1.Node {
	n.Labels = map[string]string{key: value}
	return n
}

// service is of type NodePort with one port named http, changed as asked.
func service(name string, nodePort int32, changes ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, ClusterIP: "10.96.0.10", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: nodePort}},
		},
	}
	for _, change := range changes {
		change(svc)
	}
	return svc
}

func annotated(name, value string) func(*corev1.Service) {
	return func(svc *corev1.Service) {
		if svc.Annotations == nil {
			svc.Annotations = map[string]string{}
		}
		svc.Annotations[name] = value
	}
}

// slice is of a Service, with the port http at 8080 and endpoints such as
// "10.1.0.1@n1" or "10.1.0.1@n1 terminating serving".
func slice(name, service string, endpoints ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{port("http", 8080)},
	}
	for _, text := range endpoints {
		words := strings.Fields(text)
		address, node, _ := strings.Cut(words[0], "@")
		e := discoveryv1.Endpoint{Addresses: []string{address}}
		if node != "" {
			e.NodeName = &node
		}
		if strings.Contains(address, ":") {
			s.AddressType = discoveryv1.AddressTypeIPv6
		}
		for _, word := range words[1:] {
			e.Conditions = conditions(e.Conditions, word)
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func conditions(c discoveryv1.EndpointConditions, word string) discoveryv1.EndpointConditions {
	t, f := true, false
	switch word {
	case "ready":
		c.Ready = &t
	case "unready":
		c.Ready = &f
	case "serving":
		c.Serving = &t
	case "silent":
		c.Serving = &f
	case "terminating":
		c.Ready, c.Terminating = &f, &t
	}
	return c
}

func port(name string, number int32) discoveryv1.EndpointPort {
	tcp := corev1.ProtocolTCP
	return discoveryv1.EndpointPort{Name: &name, Protocol: &tcp, Port: &number}
}

var two = []any{node("n1", "192.0.2.1"), node("n2", "192.0.2.2")}

func TestServicePorts(t *testing.T) {
	dual := func(svc *corev1.Service) {
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	}
	dualNodes := []any{node("n1", "192.0.2.1", "2001:db8::1"), node("n2", "192.0.2.2", "2001:db8::2")}
	ranges := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/12"}}}
	elsewhere := slice("web-2", "web", "10.1.0.2@n2")
	elsewhere.Ports = []discoveryv1.EndpointPort{port("https", 8443), port("http", 9090)}
	allPorts := slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n2")
	allPorts.Ports[0].Port = nil
	named := slice("web-1", "web", "web.example.org@n1", "10.1.0.2@n2")
	named.AddressType = discoveryv1.AddressTypeFQDN
	noName := slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n2")
	noName.Ports[0].Name, noName.Ports[0].Protocol = nil, nil
	both := []any{slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n2")}

	tests := []struct {
		name    string
		nodes   []any
		objects []any
		want    []string
	}{
		{
			"endpoints of several slices", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1"), slice("web-2", "web", "10.1.0.2@n2", "10.1.0.3@n2")},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.333 10.1.0.2:8080@n2=0.333 10.1.0.3:8080@n2=0.333"},
		},
		{
			"the port of each slice, by its name", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1"), elsewhere},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:9090@n2=0.5"},
		},
		{
			"a port without a name", two,
			[]any{service("web", 30080, func(s *corev1.Service) { s.Spec.Ports[0].Name = "" }), noName},
			[]string{"shop/web tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5"},
		},
		{
			"a port of another protocol is another port", two,
			[]any{service("web", 30080, func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP }), both[0]},
			[]string{"shop/web:http udp/30080: no endpoint serves"},
		},
		{
			"all protocols and ports", two,
			[]any{service("web", 30080, func(s *corev1.Service) {
				s.Spec.Ports = []corev1.ServicePort{
					{Name: "a", Protocol: corev1.ProtocolTCP, NodePort: 30080},
					{Name: "b", Protocol: corev1.ProtocolUDP, NodePort: 30080},
					{Name: "c", Protocol: corev1.ProtocolSCTP, NodePort: 30081},
					{Name: "d", Protocol: corev1.ProtocolTCP},
				}
			})},
			[]string{"shop/web:a tcp/30080: no endpoint serves", "shop/web:b udp/30080: no endpoint serves", "shop/web:c sctp/30081: no endpoint serves"},
		},
		{
			"a load balancer", two,
			[]any{service("web", 30080, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }), both[0]},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5"},
		},
		{
			"a cluster IP alone", two,
			[]any{service("web", 30080, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }), both[0]},
			nil,
		},
		{
			"an endpoint in two slices, and at two ports", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1 unready", "10.1.0.2@n2"), slice("web-3", "web", "10.1.0.1@n1 ready"), elsewhere},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.333 10.1.0.2:8080@n2=0.333 10.1.0.2:9090@n2=0.333"},
		},
		{
			"two address families", dualNodes,
			[]any{service("web", 30080, dual), both[0], slice("web-6", "web", "fd00::1@n1", "fd00::2@n2", "fd00::3@n2 unready")},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5 [fd00::1]:8080@n1=0.5 [fd00::2]:8080@n2=0.5"},
		},
		{
			"each family has its own last resort", dualNodes,
			[]any{service("web", 30080, dual), both[0], slice("web-6", "web", "fd00::1@n1 terminating serving", "fd00::2@n2 unready")},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5 [fd00::1]:8080@n1=1"},
		},
		{
			"a family that the Service does not have", dualNodes,
			[]any{service("web", 30080), both[0], slice("web-6", "web", "fd00::1@n1", "fd00::2@n2")},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5"},
		},
		{
			"a family that the node does not have", two,
			[]any{service("web", 30080, dual), both[0], slice("web-6", "web", "fd00::1@n1", "fd00::2@n2")},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5"},
		},
		{
			"only a family that the node does not have", two,
			[]any{service("web", 30080, dual), slice("web-6", "web", "fd00::1@n1", "fd00::2@n2")},
			[]string{"shop/web:http tcp/30080: no endpoint of an address family that this node takes traffic for"},
		},
		{
			"endpoints of the nodes' own network", two,
			[]any{service("web", 30080), slice("web-1", "web", "192.0.2.1@n1", "192.0.2.2@n2")},
			[]string{"shop/web:http tcp/30080 192.0.2.1:8080@n1=0.5 192.0.2.2:8080@n2=0.5"},
		},
		{
			"endpoints without a node", two,
			[]any{service("web", 30080), slice("web-1", "web", "198.51.100.1", "198.51.100.2")},
			[]string{"shop/web:http tcp/30080 198.51.100.1:8080@=0.5 198.51.100.2:8080@=0.5"},
		},
		{
			"what is not said is ready", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n2 ready", "10.1.0.3@n2 unready", "10.1.0.4@n2 terminating serving")},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5"},
		},
		{
			"the last resort is terminating and serving", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1 terminating", "10.1.0.2@n2 terminating serving", "10.1.0.3@n2 terminating silent", "10.1.0.4@n2 unready")},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5"},
		},
		{"no endpoints", two, []any{service("web", 30080)}, []string{"shop/web:http tcp/30080: no endpoint serves"}},
		{
			"no endpoint serves", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1 unready", "10.1.0.2@n2 terminating silent")},
			[]string{"shop/web:http tcp/30080: no endpoint serves"},
		},
		{"a slice for all ports", two, []any{service("web", 30080), allPorts}, []string{"shop/web:http tcp/30080: no endpoint serves"}},
		{"a slice of names", two, []any{service("web", 30080), named}, []string{"shop/web:http tcp/30080: no endpoint serves"}},
		{
			"one node", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n1", "10.1.0.3@n2 unready")},
			[]string{"shop/web:http tcp/30080: endpoints on 1 of at least 2 nodes"},
		},
		{
			"local traffic", two,
			[]any{service("web", 30080, func(s *corev1.Service) {
				s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
			}), both[0]},
			[]string{"shop/web:http tcp/30080: externalTrafficPolicy is Local"},
		},
		{
			"affinity", two,
			[]any{service("web", 30080, func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }), both[0]},
			[]string{"shop/web:http tcp/30080: sessionAffinity is ClientIP"},
		},
		{
			"near endpoints", two,
			[]any{service("web", 30080, func(s *corev1.Service) {
				near := corev1.ServiceTrafficDistributionPreferSameNode
				s.Spec.TrafficDistribution = &near
			}), both[0]},
			[]string{"shop/web:http tcp/30080: trafficDistribution is PreferSameNode"},
		},
		{
			"another proxy", two,
			[]any{service("web", 30080, func(s *corev1.Service) { s.Labels = map[string]string{labelProxyName: "cilium"} }), both[0]},
			[]string{"shop/web:http tcp/30080: label service.kubernetes.io/service-proxy-name: cilium serves it"},
		},
		{
			"not wanted", two,
			[]any{service("web", 30080, annotated(annotationSteer, "false")), both[0]},
			[]string{"shop/web:http tcp/30080: annotation weft/steer is false"},
		},
		{
			"wanted", two,
			[]any{service("web", 30080, annotated(annotationSteer, "true"), annotated(annotationPolicy, "equal")), both[0]},
			[]string{"shop/web:http tcp/30080 equal 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5"},
		},
		{
			"an annotation that cannot be read", two,
			[]any{service("web", 30080, annotated(annotationSteer, "maybe")), both[0]},
			[]string{"shop/web:http tcp/30080: annotation weft/steer: got 'maybe', expected true or false"},
		},
		{
			"a loopback address", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1", "127.0.0.1@n2")},
			[]string{"shop/web:http tcp/30080: endpoint 127.0.0.1: a loopback address"},
		},
		{
			"a link-local address", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1", "169.254.1.1@n2")},
			[]string{"shop/web:http tcp/30080: endpoint 169.254.1.1: a link-local address"},
		},
		{
			"no address", two,
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1", "nonsense@n2")},
			[]string{"shop/web:http tcp/30080: endpoint nonsense: not an IP address"},
		},
		{
			"an address of the Service range", append([]any{ranges}, two...),
			[]any{service("web", 30080), slice("web-1", "web", "10.1.0.1@n1", "10.96.0.10@n2")},
			[]string{"shop/web:http tcp/30080: endpoint 10.96.0.10: an address of the Service range"},
		},
		{
			"no such node",
			[]any{node("n2", "192.0.2.2")},
			[]any{service("web", 30080), both[0]},
			[]string{"shop/web:http tcp/30080: node n1 does not exist: is --node or NODE_NAME right?"},
		},
		{
			"a node without an address",
			[]any{node("n1"), node("n2", "192.0.2.2")},
			[]any{service("web", 30080), both[0]},
			[]string{"shop/web:http tcp/30080: node n1 has none of the addresses that nodePortAddresses asks for: primary"},
		},
		{
			"weights by address, node and label", append([]any{withLabel(node("n3", "192.0.2.3"), "disk", "ssd")}, two...),
			[]any{
				service("web", 30080, annotated(annotationWeights, "disk=ssd=4, n1=3\n10.1.0.1=2")),
				slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n1", "10.1.0.3@n2", "10.1.0.4@n3"),
			},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0.2 10.1.0.2:8080@n1=0.3 10.1.0.3:8080@n2=0.1 10.1.0.4:8080@n3=0.4"},
		},
		{
			"a drained endpoint", two,
			[]any{service("web", 30080, annotated(annotationWeights, "10.1.0.1=0")), both[0]},
			[]string{"shop/web:http tcp/30080 10.1.0.1:8080@n1=0 10.1.0.2:8080@n2=1"},
		},
		{
			"all drained", two,
			[]any{service("web", 30080, annotated(annotationWeights, "n1=0 n2=0")), both[0]},
			[]string{"shop/web:http tcp/30080: all endpoints are drained"},
		},
		{
			"the same name in two namespaces", two,
			[]any{service("web", 30080), both[0], service("web", 30081, func(s *corev1.Service) { s.Namespace = "bank" })},
			[]string{"bank/web:http tcp/30081: no endpoint serves", "shop/web:http tcp/30080 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5"},
		},
		{
			"one nodePort for two Services", two,
			[]any{service("web", 30080), both[0], service("other", 30080), service("third", 30080)},
			[]string{"shop/other:http tcp/30080: more than one Service has this nodePort"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, config(), append(tt.nodes, tt.objects...)...)
			if diff := cmp.Diff(tt.want, c.lines()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestAffinityIsSaid: where Services with affinity are taken, the state says which
// have it.
func TestAffinityIsSaid(t *testing.T) {
	taken := config()
	taken.Affinity = true
	sticky := service("web", 30080, func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP })
	c := newCluster(t, taken, append(two, sticky, service("other", 30081), slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n2"))...)
	for _, p := range c.state().ServicePorts {
		want := map[string]state.Affinity{"web": state.ClientIP}[p.Name]
		if p.Affinity != want || p.Name == "web" && p.Skipped != "" {
			t.Errorf("%s: affinity %q, skipped %q, want affinity %q", p.ID(), p.Affinity, p.Skipped, want)
		}
	}
	c.put(service("web", 30080))
	if p := c.state().ServicePorts[1]; p.Affinity != "" {
		t.Errorf("affinity %q after it was taken away", p.Affinity)
	}
}

func TestChangesLeaveNoTrace(t *testing.T) {
	web := service("web", 30080)
	eps := slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n2")
	steered := func(number int) string {
		return fmt.Sprintf("shop/web:http tcp/%d 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5", number)
	}
	c := newCluster(t, config(), append(two, web, eps)...)
	steps := []struct {
		name   string
		change func()
		want   []string
	}{
		{"at first", func() {}, []string{steered(30080)}},
		{"another nodePort", func() { c.put(service("web", 30081)) }, []string{steered(30081)}},
		{"another protocol", func() {
			c.put(service("web", 30081, func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP }))
		}, []string{"shop/web:http udp/30081: no endpoint serves"}},
		{"no nodePort", func() {
			c.put(service("web", 0, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }))
		}, nil},
		{"back", func() { c.put(web) }, []string{steered(30080)}},
		{"another Service takes the nodePort over", func() { c.remove(web); c.put(service("new", 30080)) }, []string{"shop/new:http tcp/30080: no endpoint serves"}},
		{"out of order", func() { c.put(web) }, []string{"shop/new:http tcp/30080: more than one Service has this nodePort"}},
		{"in order again", func() { c.remove(service("new", 30080)) }, []string{steered(30080)}},
		{"scaled to zero", func() { c.put(slice("web-1", "web")) }, []string{"shop/web:http tcp/30080: no endpoint serves"}},
		{"and back", func() { c.put(eps) }, []string{steered(30080)}},
		{"the slice moves to another Service", func() {
			c.put(service("new", 30090), slice("web-1", "new", "10.1.0.1@n1", "10.1.0.2@n2"))
			c.noted(trimSlice(eps)) // as the informer tells of both, before and after
		}, []string{"shop/new:http tcp/30090 10.1.0.1:8080@n1=0.5 10.1.0.2:8080@n2=0.5", "shop/web:http tcp/30080: no endpoint serves"}},
		{"all deleted", func() { c.remove(web, service("new", 0), eps) }, nil},
	}
	for _, step := range steps {
		step.change()
		if diff := cmp.Diff(step.want, c.lines()); diff != "" {
			t.Errorf("%s: -want +got\n%s", step.name, diff)
		}
	}
	if len(c.v.made)+len(c.v.nodePort)+len(c.v.weighed)+len(c.v.problems) != 0 {
		t.Errorf("something was kept of Services that are gone: %+v", c.v)
	}
}

// TestWorkIsProportional checks that what did not change keeps its pointer, and
// that a list that was handed out stays as it is.
func TestWorkIsProportional(t *testing.T) {
	c := newCluster(t, config(), two...)
	for i := range int32(10) {
		name := fmt.Sprintf("web-%d", i)
		c.put(service(name, 30000+i), slice(name, name, "10.1.0.1@n1", "10.1.0.2@n2"))
	}
	before := c.state()
	shown := append([]*state.ServicePort(nil), before.ServicePorts...)

	c.put(slice("web-3", "web-3", "10.1.0.1@n1", "10.1.0.7@n2"))
	c.put(slice("web-4", "web-4", "10.1.0.2@n2", "10.1.0.1@n1")) // the same in another order
	c.put(withLabel(node("n2", "192.0.2.2"), "disk", "ssd"))
	after := c.state()
	for i, p := range after.ServicePorts {
		if changed := p != before.ServicePorts[i]; changed != (p.Name == "web-3") {
			t.Errorf("%s has a new pointer: %v", p.ID(), changed)
		}
	}
	if !cmp.Equal(before.ServicePorts, shown, cmp.Comparer(func(p, q *state.ServicePort) bool { return p == q })) {
		t.Error("a list that was handed out was changed")
	}
	if again := c.state(); &again.ServicePorts[0] != &after.ServicePorts[0] {
		t.Error("the list was made anew without a reason")
	}
}

func TestNodesAreFollowed(t *testing.T) {
	c := newCluster(t, config(), append(two, service("web", 30080, annotated(annotationWeights, "disk=ssd=3")), slice("web-1", "web", "10.1.0.1@n1", "10.1.0.2@n2"))...)
	c.state()
	c.put(withLabel(node("n2", "192.0.2.22"), "disk", "ssd"), node("n3"), node("n1", "192.0.2.1", "2001:db8::1"))
	st := c.state()
	want := []state.Node{{Name: "n1", Address: netip.MustParseAddr("192.0.2.1")}, {Name: "n2", Address: netip.MustParseAddr("192.0.2.22")}}
	if diff := cmp.Diff(want, st.Nodes, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("nodes: -want +got\n%s", diff)
	}
	if got := fmt.Sprint(st.Addresses); got != "[192.0.2.1 2001:db8::1]" {
		t.Errorf("addresses = %v, want both of n1", got)
	}
	if got, want := oneOf(st.ServicePorts[0]), "shop/web:http tcp/30080 10.1.0.1:8080@n1=0.25 10.1.0.2:8080@n2=0.75"; got != want {
		t.Errorf("ServicePort = %s, want %s", got, want)
	}
	c.remove(node("n1"))
	if got := c.state(); len(got.Addresses) != 0 || got.ServicePorts[0].Steered() {
		t.Errorf("without the Node there are still addresses %v, %s", got.Addresses, oneOf(got.ServicePorts[0]))
	}
}

func TestAnnotationsAreToldOnce(t *testing.T) {
	c := newCluster(t, config(), two...)
	wrong := annotated(annotationPolicy, "fastest")
	for _, svc := range []*corev1.Service{
		service("web", 30080, wrong), service("web", 30081, wrong), service("web", 30080, annotated("weft/wieghts", "n1=1")),
		service("web", 30080), service("web", 30080, wrong),
	} {
		c.put(svc)
		c.state()
	}
	policy := "web: annotation weft/policy: got \"fastest\", expected one of latency-cpu, latency, cpu, local, static, equal"
	want := []string{policy, "web: annotation weft/wieghts: unknown; known are weft/steer, weft/policy and weft/weights", policy}
	if diff := cmp.Diff(want, c.told); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestOneNodeSpeaks(t *testing.T) {
	web := service("web", 30080, annotated(annotationPolicy, "fastest"))
	for _, tt := range []struct {
		name, node string
		want       int
		endpoints  []string
	}{
		{"the first with an endpoint", "n2", 1, []string{"10.1.0.3@n3", "10.1.0.2@n2 unready"}},
		{"another with an endpoint", "n3", 0, []string{"10.1.0.3@n3", "10.1.0.2@n2"}},
		{"one without an endpoint", "n1", 0, []string{"10.1.0.3@n3", "10.1.0.2@n2"}},
		{"the first of all, without endpoints", "n1", 1, nil},
		{"another, without endpoints", "n2", 0, nil},
	} {
		c := newCluster(t, Config{Node: tt.node, MinNodes: 2}, append(two, web, slice("web-1", "web", tt.endpoints...))...)
		c.state()
		if len(c.told) != tt.want {
			t.Errorf("%s: told %q, want %d Events", tt.name, c.told, tt.want)
		}
	}
}

// TestEventsInAnyOrder makes the same cluster in different orders and ways.
func TestEventsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		final := append([]any{}, two...)
		other := []any{node("n1", "192.0.2.99")}
		for i := range rapid.IntRange(0, 4).Draw(t, "services") {
			name := fmt.Sprintf("web-%d", i)
			draw := func(label string) (svc, eps any) {
				var list []string
				for e := range rapid.IntRange(0, 4).Draw(t, label+" endpoints") {
					list = append(list, fmt.Sprintf("10.1.%d.%d@n%d %s", i, e, rapid.IntRange(1, 3).Draw(t, "node"), rapid.SampledFrom([]string{"ready", "unready", "terminating"}).Draw(t, "condition")))
				}
				return service(name, rapid.Int32Range(30000, 30005).Draw(t, label+" nodePort")), slice(name, name, list...)
			}
			svc, eps := draw("final")
			final = append(final, svc, eps)
			svc, eps = draw("other")
			other = append(other, svc, eps)
		}
		want := newCluster(t, config(), final...).lines()

		c := newCluster(t, config())
		for _, o := range append(rapid.Permutation(other).Draw(t, "before"), rapid.Permutation(final).Draw(t, "after")...) {
			c.put(o)
			if rapid.Bool().Draw(t, "look") {
				c.state()
			}
		}
		if diff := cmp.Diff(want, c.lines()); diff != "" {
			t.Fatalf("-in order +in another\n%s", diff)
		}
	})
}

// BenchmarkState changes one slice and asks for the state.
func BenchmarkState(b *testing.B) {
	for _, n := range []int{1, 2768} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			c := newCluster(b, config(), two...)
			endpoints := make([]string, 10)
			for i := range n {
				name := fmt.Sprintf("web-%d", i)
				for e := range endpoints {
					endpoints[e] = fmt.Sprintf("10.%d.%d.%d@n%d", e, i>>8, i&255, e%2+1)
				}
				c.put(service(name, int32(30000+i)), slice(name, name, endpoints...))
			}
			c.state()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				endpoints[0] = fmt.Sprintf("10.99.%d.%d@n1", i>>8&255, i&255)
				c.put(slice("web-0", "web-0", endpoints...))
				c.v.state()
			}
		})
	}
}
