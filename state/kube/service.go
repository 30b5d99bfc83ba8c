package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"weft/state"
)

// keptService is what the informers keep of a Service: what there is to say about
// one without its slices, in a third of the memory.
type keptService struct {
	identity
	uid         types.UID
	annotations map[string]string // weft's; nil without any
	// elsewhere is why the Service as such is kube-proxy's, or somebody else's;
	// usually empty.
	elsewhere    string
	distribution *string       // its trafficDistribution
	ports        []servicePort // those with a nodePort
	families     [2]bool       // that it has cluster IPs of: kube-proxy serves no others
	sticky       bool          // its affinity is ClientIP
	exposed      bool          // it is of a type that has nodePorts
}

// servicePort is a port of a Service with a nodePort.
type servicePort struct {
	name     string
	protocol state.Protocol
	nodePort uint16
}

func trimService(o *corev1.Service) *keptService {
	return &keptService{
		identity:     identity{same(o.Namespace), o.Name, o.ResourceVersion},
		uid:          o.UID,
		annotations:  only(o.Annotations, func(name string) bool { return strings.HasPrefix(name, annotationPrefix) }),
		elsewhere:    elsewhere(o),
		distribution: o.Spec.TrafficDistribution,
		ports:        nodePorts(&o.Spec),
		families:     familiesOfService(&o.Spec),
		sticky:       o.Spec.SessionAffinity == corev1.ServiceAffinityClientIP,
		exposed:      o.Spec.Type == corev1.ServiceTypeNodePort || o.Spec.Type == corev1.ServiceTypeLoadBalancer,
	}
}

// elsewhere is why a Service as such is left alone, whatever weft is set to.
func elsewhere(svc *corev1.Service) string {
	proxy, other := svc.Labels[labelProxyName]
	_, headless := svc.Labels[labelHeadless]
	switch {
	case other:
		return "label " + labelProxyName + ": " + proxy + " serves it"
	case headless:
		return "label " + labelHeadless + ": kube-proxy does not serve it"
	case svc.Spec.ClusterIP == "" || svc.Spec.ClusterIP == corev1.ClusterIPNone:
		return "no cluster IP: kube-proxy does not serve it"
	case svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal:
		return "externalTrafficPolicy is Local"
	}
	return ""
}

// nodePorts are the ports of a Service that nodes have one for, of protocols that
// weft knows.
func nodePorts(spec *corev1.ServiceSpec) []servicePort {
	kept := make([]servicePort, 0, len(spec.Ports))
	for i := range spec.Ports {
		p := &spec.Ports[i]
		if protocol, ok := protocols[p.Protocol]; ok && p.NodePort != 0 {
			kept = append(kept, servicePort{same(p.Name), protocol, uint16(p.NodePort)})
		}
	}
	return kept
}

// familiesOfService are those that the Service has cluster IPs of.
func familiesOfService(spec *corev1.ServiceSpec) (has [2]bool) {
	for _, f := range spec.IPFamilies {
		has[0] = has[0] || f == corev1.IPv4Protocol
		has[1] = has[1] || f == corev1.IPv6Protocol
	}
	if len(spec.IPFamilies) == 0 { // of an API server that knows one family only
		v6 := strings.Contains(spec.ClusterIP, ":")
		has = [2]bool{!v6, v6}
	}
	return has
}
