package kube

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"weft/state"
)

// NodePortAddresses chooses the addresses of a node where weft takes NodePort
// traffic, as kube-proxy's key of the same name does. The zero value is Primary.
type NodePortAddresses struct {
	all      bool
	prefixes []netip.Prefix
}

// The choices without CIDRs, as they are written.
const (
	// Primary is the first InternalIP of each address family.
	Primary = "primary"
	// AllInternal is every InternalIP.
	AllInternal = "all"
)

// UnmarshalText reads primary, all, or CIDRs separated by commas, which choose
// among the node's internal and external addresses.
func (n *NodePortAddresses) UnmarshalText(text []byte) error {
	*n = NodePortAddresses{}
	switch value := strings.TrimSpace(string(text)); value {
	case Primary:
		return nil
	case AllInternal:
		n.all = true
		return nil
	case "":
		return errors.New("nothing")
	default:
		for part := range strings.SplitSeq(value, ",") {
			prefix, err := netip.ParsePrefix(strings.TrimSpace(part))
			if err != nil || prefix != prefix.Masked() {
				return fmt.Errorf("%q is no CIDR", part)
			}
			n.prefixes = append(n.prefixes, prefix)
		}
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (n NodePortAddresses) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

func (n NodePortAddresses) String() string {
	switch {
	case n.all:
		return AllInternal
	case len(n.prefixes) == 0:
		return Primary
	}
	texts := make([]string, len(n.prefixes))
	for i, p := range n.prefixes {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}

// Expected says in words what UnmarshalText takes.
func (NodePortAddresses) Expected() string {
	return "primary, all, or CIDRs such as 10.0.0.0/8,fd00::/8"
}

// of are the addresses of a node that were chosen, sorted. The error says why
// there is none.
func (n NodePortAddresses) of(node *corev1.Node) ([]netip.Addr, error) {
	var chosen []netip.Addr
	var has [2]bool
	for _, a := range node.Status.Addresses {
		address, ok := usable(a)
		if !ok || !n.takes(a.Type, address) || n.isPrimary() && has[family(address)] {
			continue
		}
		has[family(address)] = true
		chosen = append(chosen, address)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("node %s has none of the addresses that nodePortAddresses asks for: %s", node.Name, n)
	}
	slices.SortFunc(chosen, netip.Addr.Compare)
	return slices.Compact(chosen), nil
}

func (n NodePortAddresses) isPrimary() bool { return !n.all && len(n.prefixes) == 0 }

func (n NodePortAddresses) takes(t corev1.NodeAddressType, a netip.Addr) bool {
	if len(n.prefixes) == 0 {
		return t == corev1.NodeInternalIP
	}
	return slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// usable is an IP address of a node that can be written into a state. Hostnames
// are none.
func usable(a corev1.NodeAddress) (netip.Addr, bool) {
	if a.Type != corev1.NodeInternalIP && a.Type != corev1.NodeExternalIP {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(a.Address)
	ok := err == nil && !address.Is4In6() && address.Zone() == "" && !address.IsUnspecified() && !address.IsMulticast() && !address.IsLoopback()
	return address, ok
}

// nodeOf is what a state says of a node: its first InternalIP, or an ExternalIP
// for want of one. A node without either is none that could be measured.
func nodeOf(node *corev1.Node) (made state.Node, ok bool) {
	made.Name = node.Name
	for _, want := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		for _, a := range node.Status.Addresses {
			if address, ok := usable(a); ok && a.Type == want {
				made.Address = address
				return made, true
			}
		}
	}
	return made, false
}
