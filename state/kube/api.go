package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// api speaks with the API server of the groups that weft uses. The generated
// clients would do, but whoever imports one of them has the types of all 50 groups
// in the program, which makes it twice as large.
type api struct {
	core, discovery, networking, events rest.Interface
}

func newAPI(server *rest.Config) (*api, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme, eventsv1.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, fmt.Errorf("make a scheme of Kubernetes' types: %w", err)
		}
	}
	shared, err := rest.HTTPClientFor(server) // one connection for all groups
	if err != nil {
		return nil, fmt.Errorf("make a client for the API server: %w", err)
	}
	config := rest.CopyConfig(server)
	config.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	if config.UserAgent == "" {
		config.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	a := &api{}
	for group, client := range map[schema.GroupVersion]*rest.Interface{
		corev1.SchemeGroupVersion:       &a.core,
		discoveryv1.SchemeGroupVersion:  &a.discovery,
		networkingv1.SchemeGroupVersion: &a.networking,
		eventsv1.SchemeGroupVersion:     &a.events,
	} {
		config.GroupVersion, config.APIPath = &group, "/apis"
		if group.Group == "" {
			config.APIPath = "/api"
		}
		if *client, err = rest.RESTClientForConfigAndClient(config, shared); err != nil {
			return nil, fmt.Errorf("make a client for %s: %w", group, err)
		}
	}
	return a, nil
}

// informer keeps a cache of one resource, in one namespace or in all, cut down to
// what is used. Nothing is resynced. Without a function that narrows what is
// asked for, it is everything.
func informer(of rest.Interface, resource, namespace string, example runtime.Object, narrow func(*metav1.ListOptions)) (cache.SharedIndexInformer, error) {
	if narrow == nil {
		narrow = func(*metav1.ListOptions) {}
	}
	i := cache.NewSharedIndexInformer(cache.NewFilteredListWatchFromClient(of, resource, namespace, narrow), example, 0, cache.Indexers{})
	if err := i.SetTransform(trim); err != nil {
		return nil, fmt.Errorf("watch %s: %w", resource, err)
	}
	return i, nil
}

// resources are those that the API server has of a group version.
func resources(ctx context.Context, of rest.Interface) ([]metav1.APIResource, error) {
	var list metav1.APIResourceList
	err := of.Get().Do(ctx).Into(&list)
	return list.APIResources, err
}

// record makes an Event.
func (a *api) record(ctx context.Context, event *eventsv1.Event) error {
	return a.events.Post().Namespace(event.Namespace).Resource("events").Body(event).Do(ctx).Error()
}
