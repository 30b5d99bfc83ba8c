package kube

import (
	"fmt"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Config says which Services a node steers, and where.
type Config struct {
	// Node is the name of this node's Node.
	Node string
	// Namespaces are those whose Services are looked at; none is all.
	Namespaces []string
	// Selector is what the labels of a Service must match; nil is everything.
	Selector labels.Selector
	// MinNodes is on how many nodes the endpoints of a ServicePort must be for
	// weft to steer it.
	MinNodes int
	// Affinity says whether Services with ClientIP affinity are taken: their
	// ServicePorts then say that they have it. Otherwise they are kube-proxy's.
	Affinity bool
	// NodePortAddresses chooses the node's addresses.
	NodePortAddresses NodePortAddresses
	// Events says whether wrong annotations are told as Events on the Service.
	Events bool
	// Told is told what is wrong with the answers of the API server, and nil when
	// all is well again. It returns at once, and may be nil.
	Told func(error)
	// Triggered is told, for each change of endpoints, when what led to it
	// happened. It returns at once, and may be nil.
	Triggered func(time.Time)
}

// surroundings reads what all conversions depend on, and the node's addresses.
func (c *Config) surroundings(from caches) (surroundings, []netip.Addr) {
	s := surroundings{minNodes: c.MinNodes, affinity: c.Affinity, node: from.node}
	for _, text := range from.serviceRanges() {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			s.serviceRanges = append(s.serviceRanges, prefix)
		}
	}
	self := from.node(c.Node)
	if self == nil {
		s.problem = fmt.Sprintf("node %s does not exist: is --node or NODE_NAME right?", c.Node)
		return s, nil
	}
	addresses, err := c.NodePortAddresses.of(self)
	if err != nil {
		s.problem = err.Error()
		return s, nil
	}
	s.families = familiesOf(addresses)
	return s, addresses
}
