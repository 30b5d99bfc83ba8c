package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Options say how large a lab is.
type Options struct {
	// Prefix makes the namespaces visible in `ip netns`, as PREFIX-client,
	// PREFIX-node1 and so on. Without one they have no names, and a crash
	// leaves nothing behind.
	Prefix string
	// Nodes is the number of nodes, 1 to [MaxNodes]; 0 is three.
	Nodes int
	// Pods is the number of pods on each node, 1 to [MaxPods]; 0 is two.
	Pods int
}

// The largest lab that the address plan has room for.
const (
	MaxNodes = 50
	MaxPods  = 200
)

// Lab is a small cluster out of network namespaces:
//
//	client 10.34.4.100 ──┐
//	                     │            ┌─ pod 10.42.1.10
//	node1  10.34.4.141 ──┤── cni0 ────┴─ pod 10.42.1.11
//	node2  10.34.4.142 ──┤── cni0 ────── pods 10.42.2.10 ...
//	node3  10.34.4.143 ──┘── cni0 ────── pods 10.42.3.10 ...
//	                  switch
//
// All nodes share one Ethernet segment, and each has a route to the pods of
// every other one, as flannel's host-gw sets them. The client has none: to it a
// pod can only answer through the node that it asked. The IPv6 addresses end
// alike: fd34:4::100, fd34:4::141, fd42:1::10.
type Lab struct {
	// Client is outside of the cluster.
	Client *Namespace
	// Nodes are sorted by name. weft runs in the first; see [Lab.Node].
	Nodes []*Node

	namespaces []*Namespace
	backends   []*Backend
}

// Host is a machine, or a pod, with an address of each family.
type Host struct {
	*Namespace
	// Host is its short name: "node1", or "node1-a" for that node's first pod.
	Host string
	IPv4 netip.Addr
	IPv6 netip.Addr
}

// Addr is the host's address: IPv6 if six, else IPv4.
func (h Host) Addr(six bool) netip.Addr {
	if six {
		return h.IPv6
	}
	return h.IPv4
}

// Node is a machine of the cluster, a router between the segment and its pods.
type Node struct {
	Host
	Pods []*Host

	bridge4, bridge6 netip.Prefix // the address of cni0 and the network behind it
}

// Build makes the namespaces, wires them and waits until every link is up. What
// a Build that fails has made is gone when it returns.
func Build(opts Options) (*Lab, error) {
	l := &Lab{}
	if err := l.build(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("build a lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) build(opts Options) error {
	nodes, pods := cmpOr(opts.Nodes, 3), cmpOr(opts.Pods, 2)
	if nodes < 1 || nodes > MaxNodes || pods < 1 || pods > MaxPods {
		return fmt.Errorf("%d nodes with %d pods each: want 1 to %d nodes and 1 to %d pods", nodes, pods, MaxNodes, MaxPods)
	}
	if err := l.makeNamespaces(opts.Prefix, nodes, pods); err != nil {
		return err
	}
	return l.wire()
}

// cmpOr is n, or fallback where n is 0.
func cmpOr(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// makeNamespaces makes the switch first, since every other is plugged into it.
func (l *Lab) makeNamespaces(prefix string, nodes, pods int) error {
	if _, err := l.namespace(prefix, "switch"); err != nil {
		return err
	}
	var err error
	if l.Client, err = l.namespace(prefix, "client"); err != nil {
		return err
	}
	for k := 1; k <= nodes; k++ {
		node, err := l.makeNode(prefix, k, pods)
		if err != nil {
			return err
		}
		l.Nodes = append(l.Nodes, node)
	}
	return nil
}

func (l *Lab) makeNode(prefix string, k, pods int) (*Node, error) {
	name := fmt.Sprintf("node%d", k)
	ns, err := l.namespace(prefix, name)
	if err != nil {
		return nil, err
	}
	node := &Node{
		Host:    Host{ns, name, NodeAddr(k), lanAddr6(140 + k)},
		bridge4: netip.PrefixFrom(podAddr4(k, 1), 24),
		bridge6: netip.PrefixFrom(podAddr6(k, 1), 64),
	}
	for i := range pods {
		name := podName(name, i)
		ns, err := l.namespace(prefix, name)
		if err != nil {
			return nil, err
		}
		node.Pods = append(node.Pods, &Host{ns, name, podAddr4(k, 10+i), podAddr6(k, 10+i)})
	}
	return node, nil
}

// namespace makes a namespace that [Lab.Close] closes.
func (l *Lab) namespace(prefix, name string) (*Namespace, error) {
	create := New
	if prefix != "" {
		create = func() (*Namespace, error) { return Named(prefix + "-" + name) }
	}
	ns, err := create()
	if err != nil {
		return nil, err
	}
	l.namespaces = append(l.namespaces, ns)
	return ns, nil
}

// AddHost plugs one more machine into the segment, such as one with a control
// plane: at 10.34.4.NUMBER and fd34:4::NUMBER, with a route to the pods of every
// node. The numbers 100, and 141 up, are taken by the client and the nodes.
func (l *Lab) AddHost(name string, number int) (*Host, error) {
	ns, err := l.namespace("", name)
	if err != nil {
		return nil, err
	}
	host := &Host{ns, name, lanAddr4(number), lanAddr6(number)}
	if err := l.wireHost(host); err != nil {
		return nil, fmt.Errorf("add host %s: %w", name, err)
	}
	return host, nil
}

// Node is the node that weft runs on.
func (l *Lab) Node() *Node { return l.Nodes[0] }

// Pods are the pods of all nodes, node by node.
func (l *Lab) Pods() []*Host {
	var pods []*Host
	for _, n := range l.Nodes {
		pods = append(pods, n.Pods...)
	}
	return pods
}

// Namespaces are all namespaces of the lab.
func (l *Lab) Namespaces() []*Namespace { return slices.Clone(l.namespaces) }

// ServePods starts a backend in every pod, which answers on both families with
// the pod's name; see [Serve]. [Lab.Close] ends them.
func (l *Lab) ServePods(port uint16) error {
	for _, pod := range l.Pods() {
		b, err := Serve(pod.Namespace, netip.AddrPortFrom(netip.IPv6Unspecified(), port), pod.Host)
		if err != nil {
			return err
		}
		l.backends = append(l.backends, b)
	}
	return nil
}

// Close ends the backends and takes all namespaces down, and with them every
// link, address and rule. Processes that still run inside keep theirs alive:
// end them first. Closing twice does nothing.
func (l *Lab) Close() error {
	var errs []error
	for _, b := range l.backends {
		errs = append(errs, b.Close())
	}
	for _, ns := range slices.Backward(l.namespaces) {
		errs = append(errs, ns.Close())
	}
	l.backends, l.namespaces = nil, nil
	return errors.Join(errs...)
}

// podName names the pods of a node a, b, ... z, and p26 and so on after that.
func podName(node string, i int) string {
	if i < 26 {
		return fmt.Sprintf("%s-%c", node, 'a'+i)
	}
	return fmt.Sprintf("%s-p%d", node, i)
}
