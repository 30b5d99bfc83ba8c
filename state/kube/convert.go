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
func (s *surroundings) servicePorts(svc *keptService, endpoints []*keptSlice) (made []*state.ServicePort, problem error) {
	if !svc.exposed {
		return nil, nil
	}
	wish, problem := readAnnotations(svc.annotations)
	skipped := s.leave(svc, wish)
	if skipped == "" && problem != nil {
		skipped = problem.Error()
	}
	for i := range svc.ports {
		port := &svc.ports[i]
		p := &state.ServicePort{
			Namespace: svc.namespace, Name: svc.name, Port: port.name, Protocol: port.protocol, NodePort: port.nodePort,
			Policy: wish.policy, Skipped: skipped,
		}
		if svc.sticky && s.affinity {
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
func (s *surroundings) leave(svc *keptService, wish wish) string {
	switch {
	case wish.leave:
		return "annotation " + annotationSteer + " is false"
	case svc.elsewhere != "":
		return svc.elsewhere
	case svc.sticky && !s.affinity:
		return "sessionAffinity is ClientIP"
	case svc.distribution != nil:
		return "trafficDistribution is " + *svc.distribution
	}
	return s.problem
}

// serve is where the connections to a port should go, or why weft does not say.
func (s *surroundings) serve(svc *keptService, port *servicePort, from []*keptSlice, weights weights) ([]state.Endpoint, string) {
	all := serving(collect(port, from, svc.families))
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
