package lab

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The address plan. A decimal number names a host in both families, so that
// 10.34.4.141 and fd34:4::141 are easily seen to be one machine.
const (
	clientHost  = 100
	switchPort  = "eth0"
	podBridge   = "cni0"
	linkTimeout = 5 * time.Second
)

func lanAddr4(host int) netip.Addr { return netip.AddrFrom4([4]byte{10, 34, 4, byte(host)}) }
func podAddr4(node, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 42, byte(node), byte(host)})
}

func lanAddr6(host int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fd34:4::%d", host))
}

func podAddr6(node, host int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fd42:%d::%d", node, host))
}

// NodeAddr is the IPv4 address of the k-th node of any lab, counted from 1.
func NodeAddr(k int) netip.Addr { return lanAddr4(140 + k) }

// wire plugs everything into the switch and gives it addresses and routes.
func (l *Lab) wire() error {
	for _, ns := range l.namespaces {
		if err := enableIPv6(ns); err != nil {
			return err
		}
	}
	sw, err := openLinks(l.namespaces[0])
	if err != nil {
		return err
	}
	defer sw.close()
	if err := sw.bridge("br0"); err != nil {
		return err
	}
	if err := wireClient(sw, l.Client); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	for _, n := range l.Nodes {
		if err := l.wireNode(sw, n); err != nil {
			return fmt.Errorf("%s: %w", n.Host.Host, err)
		}
	}
	return l.awaitLinks()
}

func wireClient(sw *links, client *Namespace) error {
	c, err := openLinks(client)
	if err != nil {
		return err
	}
	defer c.close()
	return plug(sw, "br0", "client", c,
		netip.PrefixFrom(lanAddr4(clientHost), 24), netip.PrefixFrom(lanAddr6(clientHost), 64))
}

// wireNode plugs a node into the switch, its pods into its own bridge, and adds
// a route to the pods of every other node.
func (l *Lab) wireNode(sw *links, n *Node) error {
	if err := enableForwarding(n.Namespace); err != nil {
		return err
	}
	node, err := openLinks(n.Namespace)
	if err != nil {
		return err
	}
	defer node.close()
	err = plug(sw, "br0", n.Host.Host, node, netip.PrefixFrom(n.IPv4, 24), netip.PrefixFrom(n.IPv6, 64))
	if err != nil {
		return err
	}
	if err := node.bridge(podBridge, n.bridge4, n.bridge6); err != nil {
		return err
	}
	for i, pod := range n.Pods {
		if err := wirePod(node, n, pod, fmt.Sprintf("veth%d", i)); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Host, err)
		}
	}
	return l.routeToOthers(node, n)
}

// wireHost plugs a machine that is no node into the switch.
func (l *Lab) wireHost(h *Host) error {
	if err := enableIPv6(h.Namespace); err != nil {
		return err
	}
	sw, err := openLinks(l.namespaces[0])
	if err != nil {
		return err
	}
	defer sw.close()
	host, err := openLinks(h.Namespace)
	if err != nil {
		return err
	}
	defer host.close()
	if err := plug(sw, "br0", h.Host, host, netip.PrefixFrom(h.IPv4, 24), netip.PrefixFrom(h.IPv6, 64)); err != nil {
		return err
	}
	if err := l.routeToOthers(host, nil); err != nil {
		return err
	}
	return l.awaitLinks()
}

func wirePod(node *links, n *Node, pod *Host, port string) error {
	p, err := openLinks(pod.Namespace)
	if err != nil {
		return err
	}
	defer p.close()
	if err := plug(node, podBridge, port, p, netip.PrefixFrom(pod.IPv4, 24), netip.PrefixFrom(pod.IPv6, 64)); err != nil {
		return err
	}
	if err := node.hairpin(port); err != nil {
		return err
	}
	for _, gw := range []netip.Prefix{n.bridge4, n.bridge6} {
		if err := p.route(netip.Prefix{}, gw.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// routeToOthers adds what flannel's host-gw backend adds: a route to the pods of
// each node but n.
func (l *Lab) routeToOthers(node *links, n *Node) error {
	for _, other := range l.Nodes {
		if other == n {
			continue
		}
		if err := node.route(other.bridge4.Masked(), other.IPv4); err != nil {
			return err
		}
		if err := node.route(other.bridge6.Masked(), other.IPv6); err != nil {
			return err
		}
	}
	return nil
}

// awaitLinks waits until the kernel has noticed every carrier: until then it
// may drop what is sent through a link.
func (l *Lab) awaitLinks() error {
	deadline := time.Now().Add(linkTimeout)
	for _, ns := range l.namespaces {
		h, err := openLinks(ns)
		if err != nil {
			return err
		}
		err = h.awaitUp(deadline)
		h.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// links changes the links of one namespace.
type links struct {
	ns *Namespace
	h  *netlink.Handle
}

// openLinks also brings the loopback up.
func openLinks(ns *Namespace) (*links, error) {
	h, err := netlink.NewHandleAt(ns.handle, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink in namespace %q: %w", ns.Name, err)
	}
	l := &links{ns, h}
	if err := l.up("lo"); err != nil {
		h.Close()
		return nil, err
	}
	return l, nil
}

func (l *links) close() { l.h.Close() }

func (l *links) up(name string) error {
	link, err := l.h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	if err := l.h.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring link %s up: %w", name, err)
	}
	return nil
}

// bridge makes a bridge. It does not snoop on multicast: with nobody to query
// for members it would lose the neighbour solicitations of IPv6.
func (l *links) bridge(name string, addrs ...netip.Prefix) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	snoop := false
	if err := l.h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snoop}); err != nil {
		return fmt.Errorf("add bridge %s: %w", name, err)
	}
	return l.configure(name, addrs...)
}

// configure gives a link its addresses and brings it up.
func (l *links) configure(name string, addrs ...netip.Prefix) error {
	link, err := l.h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	for _, a := range addrs {
		if err := l.h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return fmt.Errorf("add address %v to link %s: %w", a, name, err)
		}
	}
	return l.up(name)
}

// plug connects the namespace of end, whose link is called eth0, with a port of
// a bridge.
func plug(sw *links, bridge, port string, end *links, addrs ...netip.Prefix) error {
	br, err := sw.h.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("link %s: %w", bridge, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = port, br.Attrs().Index
	// The peer is born in its namespace: a link never shows up anywhere else.
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: switchPort, PeerNamespace: netlink.NsFd(end.ns.FD())}
	if err := sw.h.LinkAdd(veth); err != nil {
		return fmt.Errorf("add veth pair %s: %w", port, err)
	}
	if err := sw.up(port); err != nil {
		return err
	}
	return end.configure(switchPort, addrs...)
}

// hairpin lets a frame leave through the port that it came from, as the bridge
// of a pod network is configured (flannel's hairpinMode): where br_netfilter is
// loaded, a translated packet of a pod to itself never leaves the bridge.
func (l *links) hairpin(port string) error {
	link, err := l.h.LinkByName(port)
	if err != nil {
		return fmt.Errorf("link %s: %w", port, err)
	}
	if err := l.h.LinkSetHairpin(link, true); err != nil {
		return fmt.Errorf("set hairpin mode of %s: %w", port, err)
	}
	return nil
}

// route adds a route; the zero prefix is the default route.
func (l *links) route(to netip.Prefix, via netip.Addr) error {
	r := &netlink.Route{Gw: via.AsSlice()}
	if to.IsValid() {
		r.Dst = ipNet(to)
	}
	if err := l.h.RouteAdd(r); err != nil {
		return fmt.Errorf("add route to %v via %v: %w", to, via, err)
	}
	return nil
}

func (l *links) awaitUp(deadline time.Time) error {
	for {
		down, err := l.down()
		if err != nil || down == "" {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("link %s is not up after %v", down, linkTimeout)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// down is a link that is not up yet, or empty.
func (l *links) down() (string, error) {
	all, err := l.h.LinkList()
	if err != nil {
		return "", fmt.Errorf("list links: %w", err)
	}
	for _, link := range all {
		a := link.Attrs()
		// A kernel may hold tunnel devices in each namespace that nobody uses.
		if a.Flags&net.FlagUp == 0 || a.Name == "lo" {
			continue
		}
		// Asking for one link makes a kernel since 6.8 look at its carrier at
		// once (commit facd15dfd691); a list of links leaves it to a timer of
		// one second.
		link, err := l.h.LinkByIndex(a.Index)
		if err != nil {
			return "", fmt.Errorf("link %s: %w", a.Name, err)
		}
		if link.Attrs().OperState != netlink.OperUp {
			return a.Name, nil
		}
	}
	return "", nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
