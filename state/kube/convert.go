package kube

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	"weft/state"
)

// The labels by which a Service says that kube-proxy does not serve it either.
const (
	labelProxyName = "service.kubernetes.io/service-proxy-name"
	labelHeadless  = corev1.IsHeadlessService
)

// servicePorts are the ServicePorts of a Service, one for each port that has a
// nodePort, and what is wrong with its annotations, if anything.
func (s *surroundings) servicePorts(svc *corev1.Service, endpoints []*keptSlice) (made []*state.ServicePort, problem error) {
	if svc.Spec.Type != corev1.ServiceTypeNodePort && svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil, nil
	}
	wish, problem := readAnnotations(svc.Annotations)
	skipped := s.leave(svc, wish)
	if skipped == "" && problem != nil {
		skipped = problem.Error()
	}
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		protocol, ok := protocols[port.Protocol]
		if port.NodePort == 0 || !ok {
			continue
		}
		p := &state.ServicePort{
			Namespace: svc.Namespace, Name: svc.Name, Port: port.Name, Protocol: protocol, NodePort: uint16(port.NodePort),
			Policy: wish.policy, Skipped: skipped,
		}
		if svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP && s.affinity {
			p.Affinity = state.ClientIP
		}
		if skipped == "" {
			p.Endpoints, p.Skipped = s.serve(svc, port, endpoints, wish.weights)
		}
		p.Skipped = reason(p.Skipped)
		made = append(made, p)
	}
	return made, problem
}

// leave is why a Service as such is kube-proxy's, or somebody else's.
func (s *surroundings) leave(svc *corev1.Service, wish wish) string {
	proxy, elsewhere := svc.Labels[labelProxyName]
	_, headless := svc.Labels[labelHeadless]
	switch {
	case wish.leave:
		return "annotation " + annotationSteer + " is false"
	case elsewhere:
		return "label " + labelProxyName + ": " + proxy + " serves it"
	case headless:
		return "label " + labelHeadless + ": kube-proxy does not serve it"
	case svc.Spec.ClusterIP == "" || svc.Spec.ClusterIP == corev1.ClusterIPNone:
		return "no cluster IP: kube-proxy does not serve it"
	case svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal:
		return "externalTrafficPolicy is Local"
	case svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP && !s.affinity:
		return "sessionAffinity is ClientIP"
	case svc.Spec.TrafficDistribution != nil:
		return "trafficDistribution is " + *svc.Spec.TrafficDistribution
	}
	return s.problem
}

// serve is where the connections to a port should go, or why weft does not say.
func (s *surroundings) serve(svc *corev1.Service, port *corev1.ServicePort, from []*keptSlice, weights weights) ([]state.Endpoint, string) {
	all := serving(collect(port, from, familiesOfService(svc)))
	if len(all) == 0 {
		return nil, "no endpoint serves"
	}
	if problem := s.invalid(all); problem != "" {
		return nil, problem
	}
	all = slices.DeleteFunc(all, func(e endpoint) bool { return !s.families[family(e.address)] })
	if len(all) == 0 {
		return nil, "no endpoint of an address family that this node takes traffic for"
	}
	if n := countNodes(all); n < s.minNodes {
		return nil, fmt.Sprintf("endpoints on %d of at least %d nodes", n, s.minNodes)
	}
	return s.weigh(all, weights)
}

// familiesOfService are those that the Service has cluster IPs of. kube-proxy
// serves no NodePort of another one.
func familiesOfService(svc *corev1.Service) (has [2]bool) {
	for _, f := range svc.Spec.IPFamilies {
		has[0] = has[0] || f == corev1.IPv4Protocol
		has[1] = has[1] || f == corev1.IPv6Protocol
	}
	if len(svc.Spec.IPFamilies) == 0 { // of an API server that knows one family only
		v6 := strings.Contains(svc.Spec.ClusterIP, ":")
		has = [2]bool{!v6, v6}
	}
	return has
}

// countNodes counts the nodes of endpoints. An endpoint of which no node is known
// stands for a node of its own.
func countNodes(all []endpoint) int {
	seen := map[string]bool{}
	for i := range all {
		name := all[i].node
		if name == "" {
			name = all[i].address.String()
		}
		seen[name] = true
	}
	return len(seen)
}

// maxReason is the longest reason that a state carries, in bytes.
const maxReason = 256

// reason makes a text that may hold anything a user wrote fit for a state.
func reason(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?")))
	if len(text) > maxReason {
		text = strings.TrimSpace(strings.ToValidUTF8(text[:maxReason-3], "")) + "..."
	}
	return text
}
