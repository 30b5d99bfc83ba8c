package kube

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trim makes of an object one that holds only what is used, before an informer
// keeps it. An object that was trimmed comes out the same.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Service:
		return trimService(o), nil
	case *discoveryv1.EndpointSlice:
		return trimSlice(o), nil
	case *corev1.Node:
		kept := &corev1.Node{ObjectMeta: trimMeta(&o.ObjectMeta, everyLabel)}
		kept.Status.Addresses = o.Status.Addresses
		return kept, nil
	case *networkingv1.ServiceCIDR:
		return &networkingv1.ServiceCIDR{ObjectMeta: trimMeta(&o.ObjectMeta, nil), Spec: o.Spec}, nil
	}
	return object, nil // what tells that an object is gone
}

// same makes equal strings one string: the names of nodes and namespaces are in
// every endpoint and slice.
func same(s string) string { return unique.Make(s).Value() }

func everyLabel(string) bool { return true }

func trimMeta(o *metav1.ObjectMeta, label func(string) bool) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: o.Name, Namespace: same(o.Namespace), UID: o.UID, ResourceVersion: o.ResourceVersion,
		Labels: only(o.Labels, label),
	}
}

// only are the entries whose names keep takes; nil without any.
func only(all map[string]string, keep func(string) bool) map[string]string {
	var kept map[string]string
	for name, value := range all {
		if keep != nil && keep(name) {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[same(name)] = value
		}
	}
	return kept
}
