// Package kube makes a State of what a Kubernetes API server tells.
//
// Informers keep caches of Services, EndpointSlices, Nodes and ServiceCIDRs, cut
// down to what is used. An event only notes which Service it touches; what
// follows from it is worked out from the caches, all at once, when the state is
// asked for. So neither the order of events nor a lost one matters, and one event
// costs the conversion of one Service: a ServicePort that comes out the same
// keeps its pointer.
//
// The conversion itself is a pure function of a Service, its slices and the
// surroundings (see surroundings.servicePorts). It follows kube-proxy in what an
// endpoint is and which endpoints serve, and leaves to kube-proxy, with the
// reason, whatever weft could not serve at least as well.
//
// Nothing is said before all caches are filled. When the API server is lost, the
// last state stays, and its Written stays at the time of the loss, so that the
// reader of the state file knows how old it is: kube-proxy may know more by then.
package kube
