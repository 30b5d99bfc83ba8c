package kube

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"weft/state"
)

// surroundings are what the conversion of a Service depends on besides itself
// and its slices.
type surroundings struct {
	// problem is why this node can take no traffic at all; usually empty.
	problem string
	// families are those for which the node takes traffic: IPv4, IPv6.
	families [2]bool
	// serviceRanges are where no endpoint can be.
	serviceRanges []netip.Prefix
	// minNodes is on how many nodes the endpoints must be.
	minNodes int
	// affinity says whether Services with ClientIP affinity are taken.
	affinity bool
	// node finds a node by its name; nil if there is none.
	node func(name string) *corev1.Node
}

// sameFor reports whether every conversion has the same result in both.
func (s *surroundings) sameFor(t *surroundings) bool {
	if s.problem != t.problem || s.families != t.families || s.minNodes != t.minNodes || len(s.serviceRanges) != len(t.serviceRanges) {
		return false
	}
	for i := range s.serviceRanges {
		if s.serviceRanges[i] != t.serviceRanges[i] {
			return false
		}
	}
	return true
}

// family is 0 for IPv4 and 1 for IPv6.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func familiesOf(addresses []netip.Addr) (has [2]bool) {
	for _, a := range addresses {
		has[family(a)] = true
	}
	return has
}

var protocols = map[corev1.Protocol]state.Protocol{
	"": state.TCP, corev1.ProtocolTCP: state.TCP, corev1.ProtocolUDP: state.UDP, corev1.ProtocolSCTP: state.SCTP,
}
