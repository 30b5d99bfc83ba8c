package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// byService is the name of the index of slices by the Service that they are of.
const byService = "service"

// informed is what informers hold, by namespace where only some are looked at.
type informed struct {
	all       []cache.SharedIndexInformer
	running   sync.WaitGroup
	scopes    map[string]scope // by namespace; "" is for all
	nodeStore cache.Store
	ranges    cache.Store // nil if the API server has none
	synced    []cache.DoneChecker
}

// scope are the caches of one namespace, or of all.
type scope struct {
	services cache.Store
	slices   cache.Indexer
}

// noted is who is told of changes.
type noted struct {
	// touched is told of a Service that changed, itself or in its slices.
	touched func(types.NamespacedName)
	// moved is told of changes of nodes and Service ranges.
	moved func()
	// triggered is told when what led to a change of endpoints happened; it may
	// be nil.
	triggered func(time.Time)
	// failed is told why a list or watch ended.
	failed func(error)
}

// newInformed makes the informers, which begin when they are started. Nothing is
// resynced: the state does not depend on events.
func newInformed(client *api, c *Config, withRanges bool, to noted) (*informed, error) {
	in := &informed{scopes: map[string]scope{}}
	namespaces := c.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var problems []error
	for _, ns := range namespaces {
		problems = append(problems, in.addScope(client, c, ns, to))
	}
	problems = append(problems, in.addCluster(client, withRanges, to))
	return in, errors.Join(problems...)
}

// addScope looks at Services that could have a nodePort, and at slices that are
// not of a headless Service: nobody is told of the others.
func (in *informed) addScope(client *api, c *Config, namespace string, to noted) error {
	services, errServices := informer(client.core, "services", namespace, &corev1.Service{}, func(o *metav1.ListOptions) {
		o.FieldSelector = "spec.type!=" + string(corev1.ServiceTypeClusterIP) + ",spec.type!=" + string(corev1.ServiceTypeExternalName)
		if c.Selector != nil {
			o.LabelSelector = c.Selector.String()
		}
	})
	slices, errSlices := informer(client.discovery, "endpointslices", namespace, &discoveryv1.EndpointSlice{}, func(o *metav1.ListOptions) {
		o.LabelSelector = "!" + labelHeadless
	})
	if err := errors.Join(errServices, errSlices); err != nil {
		return err
	}
	in.scopes[namespace] = scope{services.GetStore(), slices.GetIndexer()}
	return errors.Join(
		slices.AddIndexers(cache.Indexers{byService: indexByService}),
		in.add(services, to, handler(func(o any) {
			if svc, ok := o.(*keptService); ok {
				to.touched(types.NamespacedName{Namespace: svc.namespace, Name: svc.name})
			}
		})),
		in.add(slices, to, in.sliceHandler(to)),
	)
}

// sliceHandler tells of changed slices of Services that are looked at. The trigger
// is told first, so that the state that follows from the change is not written
// before.
func (in *informed) sliceHandler(to noted) cache.ResourceEventHandler {
	all := handler(func(o any) {
		if key, ok := serviceOf(o); ok && in.service(key) != nil {
			to.touched(key)
		}
	})
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { in.trigger(to, nil, o); all.OnAdd(o, false) },
		UpdateFunc: func(before, after any) { in.trigger(to, before, after); all.OnUpdate(before, after) },
		DeleteFunc: all.OnDelete, // no slice is left that could say when
	}
}

// trigger tells when what led to a change happened, unless the slice says the
// same as before.
func (in *informed) trigger(to noted, before, after any) {
	b, hadOne := before.(*keptSlice)
	a, ok := after.(*keptSlice)
	if to.triggered == nil || !ok || hadOne && b.triggered.Equal(a.triggered) {
		return
	}
	if key, ok := serviceOf(a); ok && in.service(key) != nil {
		to.triggered(a.triggered)
	}
}

// addCluster looks at what is in no namespace.
func (in *informed) addCluster(client *api, withRanges bool, to noted) error {
	nodes, err := informer(client.core, "nodes", metav1.NamespaceAll, &corev1.Node{}, nil)
	if err != nil {
		return err
	}
	in.nodeStore = nodes.GetStore()
	err = in.add(nodes, to, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { to.moved() },
		DeleteFunc: func(any) { to.moved() },
		UpdateFunc: func(before, after any) { // kubelets report every few minutes
			if b, ok := before.(*corev1.Node); !ok || !sameNode(b, after) {
				to.moved()
			}
		},
	})
	if err != nil || !withRanges {
		return err
	}
	ranges, err := informer(client.networking, "servicecidrs", metav1.NamespaceAll, &networkingv1.ServiceCIDR{}, nil)
	if err != nil {
		return err
	}
	in.ranges = ranges.GetStore()
	return in.add(ranges, to, handler(func(any) { to.moved() }))
}

func (in *informed) add(i cache.SharedIndexInformer, to noted, h cache.ResourceEventHandler) error {
	if err := i.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { to.failed(err) }); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	registration, err := i.AddEventHandler(h)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	in.all = append(in.all, i)
	in.synced = append(in.synced, registration.HasSyncedChecker())
	return nil
}

// handler calls f with whatever changed, as it was and as it is.
func handler(f func(object any)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    f,
		UpdateFunc: func(before, after any) { f(before); f(after) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			f(o)
		},
	}
}

func indexByService(o any) ([]string, error) {
	if key, ok := serviceOf(o); ok {
		return []string{key.String()}, nil
	}
	return nil, nil
}

// serviceOf is the Service that a slice is of.
func serviceOf(o any) (key types.NamespacedName, ok bool) {
	slice, ok := o.(*keptSlice)
	if !ok || slice.service == "" {
		return key, false
	}
	return types.NamespacedName{Namespace: slice.namespace, Name: slice.service}, true
}

// sameNode compares what is used of nodes.
func sameNode(a *corev1.Node, other any) bool {
	b, ok := other.(*corev1.Node)
	return ok && labels.Equals(a.Labels, b.Labels) && equalAddresses(a.Status.Addresses, b.Status.Addresses)
}

func equalAddresses(a, b []corev1.NodeAddress) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// start begins to list and watch. It returns when all caches are filled and all
// handlers have been told, or ctx ends.
func (in *informed) start(ctx context.Context) bool {
	for _, i := range in.all {
		in.running.Go(func() { i.RunWithContext(ctx) })
	}
	return cache.WaitFor(ctx, "", in.synced...)
}

// stop waits for the informers' goroutines, whose context has ended.
func (in *informed) stop() { in.running.Wait() }

func (in *informed) scope(namespace string) (scope, bool) {
	if s, ok := in.scopes[metav1.NamespaceAll]; ok {
		return s, true
	}
	s, ok := in.scopes[namespace]
	return s, ok
}

func (in *informed) service(key types.NamespacedName) *keptService {
	s, ok := in.scope(key.Namespace)
	if !ok {
		return nil
	}
	return get[*keptService](s.services, key.String())
}

func (in *informed) slices(key types.NamespacedName) (found []*keptSlice) {
	s, ok := in.scope(key.Namespace)
	if !ok {
		return nil
	}
	objects, err := s.slices.ByIndex(byService, key.String())
	if err != nil {
		return nil // there is no such index: it was added above
	}
	for _, o := range objects {
		if slice, ok := o.(*keptSlice); ok {
			found = append(found, slice)
		}
	}
	return found
}

func (in *informed) node(name string) *corev1.Node { return get[*corev1.Node](in.nodeStore, name) }

func (in *informed) nodes() (all []*corev1.Node) {
	for _, o := range in.nodeStore.List() {
		if node, ok := o.(*corev1.Node); ok {
			all = append(all, node)
		}
	}
	return all
}

func (in *informed) serviceRanges() (all []string) {
	if in.ranges == nil {
		return nil
	}
	for _, o := range in.ranges.List() {
		if r, ok := o.(*networkingv1.ServiceCIDR); ok {
			all = append(all, r.Spec.CIDRs...)
		}
	}
	return all
}

// get is the zero value for what is not there.
func get[T any](store cache.Store, key string) (found T) {
	if o, ok, err := store.GetByKey(key); ok && err == nil {
		found, _ = o.(T)
	}
	return found
}
