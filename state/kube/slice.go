package kube

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weft/state"
)

// keptSlice is what the informers keep of an EndpointSlice: a cluster has tens of
// thousands of endpoints, and as the API has them they take five times the memory.
type keptSlice struct {
	identity
	service   string // the name of the Service that it is of; may be empty
	addresses discoveryv1.AddressType
	triggered time.Time
	ports     []keptPort
	endpoints []keptEndpoint
	// texts are the addresses as the slice has them, where some are not in the form
	// that weft would write; else nil.
	texts []string
}

// identity is what makes an object itself, which is all that client-go asks about
// objects that were trimmed.
type identity struct{ namespace, name, version string }

// GetObjectMeta makes an identity an object for client-go.
func (o *identity) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: o.namespace, Name: o.name, ResourceVersion: o.version}
}

// keptPort is a port with a number. One without would be all ports, which kube-proxy
// does not serve.
type keptPort struct {
	name     string
	protocol state.Protocol
	number   int32
}

// keptEndpoint is an endpoint's first address, since only that has a meaning.
type keptEndpoint struct {
	address netip.Addr // not valid if the text is no address
	node    string     // empty if it is not known
	rank    rank
}

func trimSlice(o *discoveryv1.EndpointSlice) *keptSlice {
	kept := &keptSlice{
		identity: identity{same(o.Namespace), o.Name, o.ResourceVersion},
		service:  o.Labels[discoveryv1.LabelServiceName], addresses: discoveryv1.AddressType(same(string(o.AddressType))),
		triggered: triggered(o), ports: trimPorts(o.Ports), endpoints: make([]keptEndpoint, 0, len(o.Endpoints)),
	}
	if kept.service == kept.name {
		kept.service = kept.name // once in memory
	}
	texts, plain := make([]string, 0, len(o.Endpoints)), true
	for i := range o.Endpoints {
		if len(o.Endpoints[i].Addresses) == 0 {
			continue
		}
		e := trimEndpoint(&o.Endpoints[i])
		text := o.Endpoints[i].Addresses[0]
		texts, plain = append(texts, text), plain && text == e.address.String()
		kept.endpoints = append(kept.endpoints, e)
	}
	if !plain {
		kept.texts = texts
	}
	return kept
}

func trimPorts(ports []discoveryv1.EndpointPort) []keptPort {
	kept := make([]keptPort, 0, len(ports))
	for i := range ports {
		p := keptPort{protocol: state.TCP}
		if ports[i].Protocol != nil {
			p.protocol = protocols[*ports[i].Protocol]
		}
		if ports[i].Name != nil {
			p.name = same(*ports[i].Name)
		}
		if ports[i].Port != nil {
			p.number = *ports[i].Port
			kept = append(kept, p)
		}
	}
	return kept
}

func trimEndpoint(e *discoveryv1.Endpoint) keptEndpoint {
	kept := keptEndpoint{rank: rankOf(&e.Conditions)}
	kept.address, _ = netip.ParseAddr(e.Addresses[0]) // what is no address is found by invalid
	if e.NodeName != nil {
		kept.node = same(*e.NodeName)
	}
	return kept
}

// triggered is when what a slice tells began to be so, as the controller of
// EndpointSlices says; the time of its creation where it does not say.
func triggered(o *discoveryv1.EndpointSlice) time.Time {
	t, err := time.Parse(time.RFC3339Nano, o.Annotations[corev1.EndpointsLastChangeTriggerTime])
	if err != nil {
		return o.CreationTimestamp.Time
	}
	return t
}

// text is the address of an endpoint if it is in another form than weft would write.
func (s *keptSlice) text(i int) string {
	if s.texts == nil {
		return ""
	}
	return s.texts[i]
}

// number is the slice's number for a port of a Service, 0 for none.
func (s *keptSlice) number(port *servicePort) int32 {
	for i := range s.ports {
		if p := &s.ports[i]; p.protocol == port.protocol && p.name == port.name {
			return p.number
		}
	}
	return 0
}

func (s *keptSlice) isOf(families [2]bool) bool {
	return s.addresses == discoveryv1.AddressTypeIPv4 && families[0] || s.addresses == discoveryv1.AddressTypeIPv6 && families[1]
}
