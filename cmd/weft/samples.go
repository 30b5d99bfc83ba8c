package main

import (
	"fmt"
	"net/netip"

	"weft/state"
)

// sampleStates are what a template set must cope with: nothing, one family,
// both, every protocol, drained, skipped, very many endpoints, and where that is
// weft's to serve, ClientIP affinity.
func sampleStates(affinity bool) ([]*state.State, error) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	sample := func(addresses []netip.Addr, ports ...*state.ServicePort) *state.State {
		return &state.State{Node: "node-1", Addresses: addresses, ServicePorts: ports}
	}
	endpoint := func(address string, share float64) state.Endpoint {
		return state.Endpoint{Address: netip.MustParseAddr(address), Port: 8080, Node: "node-1", Share: share}
	}
	web := &state.ServicePort{
		Namespace: "default", Name: "web", Protocol: state.TCP, NodePort: 30000,
		Endpoints: []state.Endpoint{endpoint("198.51.100.1", 0.5), endpoint("198.51.100.2", 0.25), endpoint("198.51.100.3", 0.25)},
	}
	dns := &state.ServicePort{
		Namespace: "kube-system", Name: "dns", Port: "dns", Protocol: state.UDP, NodePort: 30000,
		Endpoints: []state.Endpoint{endpoint("198.51.100.1", 1), endpoint("198.51.100.2", 0), endpoint("2001:db8:1::1", 1)},
	}
	sctp := &state.ServicePort{
		Namespace: "default", Name: "signal", Port: "s", Protocol: state.SCTP, NodePort: 30001,
		Endpoints: []state.Endpoint{endpoint("2001:db8:1::1", 0.999), endpoint("2001:db8:1::2", 0.001)},
	}
	many := &state.ServicePort{Namespace: "default", Name: "many", Protocol: state.TCP, NodePort: 30003}
	for i := range 40 {
		many.Endpoints = append(many.Endpoints, endpoint(fmt.Sprintf("198.51.100.%d", i+1), 1.0/40))
	}
	skipped := &state.ServicePort{
		Namespace: "default", Name: "single", Protocol: state.TCP, NodePort: 30002, Skipped: "all endpoints are on one node",
	}
	states := []*state.State{
		sample([]netip.Addr{v4}), sample([]netip.Addr{v4}, web), sample([]netip.Addr{v4}, skipped),
		sample([]netip.Addr{v4, v6}, sctp, skipped, web, dns), sample([]netip.Addr{v6}, sctp), sample([]netip.Addr{v4}, many),
	}
	if affinity {
		sticky := *web
		sticky.Name, sticky.NodePort, sticky.Affinity = "sticky", 30004, state.ClientIP
		states = append(states, sample([]netip.Addr{v4}, &sticky))
	}
	for _, st := range states {
		if err := state.Validate(st); err != nil {
			return nil, err
		}
	}
	return states, nil
}
