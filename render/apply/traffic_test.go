package apply_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
	"weft/state"
	"weft/templates"
)

// nodePort is where the clients of these tests knock.
const nodePort = 30080

// shares are those of pods, by the pods' names. The other pods of the lab are
// no endpoints.
type shares map[string]float64

// usual has endpoints on both nodes, one of them drained.
var usual = shares{"node1-a": 0.5, "node1-b": 0.2, "node2-a": 0.3, "node2-b": 0}

// cluster is a lab whose nodes are steered by hand.
type cluster struct {
	t *testing.T
	*lab.Lab
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return &cluster{t, labtest.Build(t, lab.Options{Nodes: 2, Pods: 3})}
}

func (c *cluster) pod(name string) *lab.Host {
	c.t.Helper()
	for _, p := range c.Pods() {
		if p.Host == name {
			return p
		}
	}
	c.t.Fatalf("no pod %s", name)
	return nil
}

// serves is a state of the node in which the pods serve the NodePort over TCP
// and UDP, on both families.
func (c *cluster) serves(node *lab.Node, to shares) *state.State {
	c.t.Helper()
	st := &state.State{Node: node.Host.Host, Addresses: []netip.Addr{node.IPv4, node.IPv6}}
	for _, protocol := range []state.Protocol{state.TCP, state.UDP} {
		p := &state.ServicePort{Namespace: "shop", Name: "web", Port: string(protocol), Protocol: protocol, NodePort: nodePort}
		for _, six := range []bool{false, true} {
			for _, name := range slices.Sorted(maps.Keys(to)) {
				p.Endpoints = append(p.Endpoints, state.Endpoint{
					Address: c.pod(name).Addr(six), Port: labtest.Port, Node: name[:len("node1")], Share: to[name],
				})
			}
		}
		st.ServicePorts = append(st.ServicePorts, p)
	}
	return st
}

// steer loads what the set makes of the state into the node, and proves it.
func (c *cluster) steer(node *lab.Node, setName string, st *state.State, over render.Vars) {
	c.t.Helper()
	set, err := render.Load(setName)
	if err != nil {
		c.t.Fatal(err)
	}
	vars, err := render.DefaultVars().With(over, set.Declared)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := state.Validate(st); err != nil {
		c.t.Fatal(err)
	}
	desired, err := apply.Desire(c.t.Context(), set, st, vars)
	if err != nil {
		c.t.Fatal(err)
	}
	err = node.Do(func() error { return desired.Load(c.t.Context(), nft.Runner{}) })
	if err != nil {
		c.t.Fatal(err)
	}
	if setName == sticky {
		return // its shares are those of clients: no share of connections can be proven
	}
	if err := node.Do(func() error { return desired.Prove(c.t.Context()) }); err != nil {
		c.t.Error(err)
	}
}

// gets fails the test unless every connection is answered, in these shares.
func (c *cluster) gets(from *lab.Namespace, network string, to netip.Addr, n int, want shares) {
	c.t.Helper()
	got, err := lab.Count(c.t.Context(), from, network, netip.AddrPortFrom(to, nodePort), n, 16)
	if err != nil {
		c.t.Error(err)
	}
	labtest.Within(c.t, got, want)
}

// getsEverywhere is gets for TCP and UDP over both families.
func (c *cluster) getsEverywhere(from *lab.Namespace, to *lab.Node, n int, want shares) {
	c.t.Helper()
	for _, network := range []string{"tcp", "udp"} {
		for _, six := range []bool{false, true} {
			c.gets(from, network, to.Addr(six), n, want)
			if c.t.Failed() {
				c.t.Fatalf("so it is with %s to %v", network, to.Addr(six))
			}
		}
	}
}

// run is a subtest in the same cluster.
func (c *cluster) run(name string, f func(*cluster)) {
	c.t.Run(name, func(t *testing.T) { f(&cluster{t, c.Lab}) })
}

// TestClients has every kind of client of every shipped set, and two nodes that
// both have rules of weft, so that an entry through either does.
func TestClients(t *testing.T) {
	c := newCluster(t)
	node1, node2 := c.Nodes[0], c.Nodes[1]
	withoutBridgeFilter(t, node2)
	clients := []struct {
		name string
		from *lab.Namespace
		to   *lab.Node
		n    int
	}{
		{"outside", c.Client, node1, 300},
		{"outside, entry through the other node", c.Client, node2, 120},
		{"an endpoint on the node, which also reaches itself", c.pod("node1-a").Namespace, node1, 120},
		{"the same where bridges do not filter", c.pod("node2-a").Namespace, node2, 60},
		{"a pod on the node that is no endpoint", c.pod("node1-c").Namespace, node1, 60},
		{"the same where bridges do not filter", c.pod("node2-c").Namespace, node2, 60},
		{"a pod on the other node", c.pod("node2-a").Namespace, node1, 60},
		{"the node's own processes", node1.Namespace, node1, 120},
		{"the other node's own processes", node2.Namespace, node1, 60},
	}
	for _, set := range templates.Names() {
		for _, node := range c.Nodes {
			c.steer(node, set, c.serves(node, usual), nil)
		}
		for _, client := range clients {
			c.run(set+"/"+client.name, func(c *cluster) { c.getsEverywhere(client.from, client.to, client.n, usual) })
		}
	}
}

// withoutBridgeFilter keeps the packets that a bridge of the node forwards away
// from its rules, where the kernel can (br_netfilter): then an answer from one
// pod to another is not translated back on its way.
func withoutBridgeFilter(t *testing.T, node *lab.Node) {
	t.Helper()
	for _, name := range []string{"iptables", "ip6tables"} {
		err := node.Do(func() error {
			err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+name, []byte("0"), 0)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // the module is not there, so nothing is filtered
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestHairpin has a pod as the only endpoint of the NodePort that it asks.
func TestHairpin(t *testing.T) {
	c := newCluster(t)
	alone := shares{"node1-a": 1}
	for _, set := range templates.Names() {
		for _, masquerade := range []string{"all", "remote"} {
			c.steer(c.Nodes[0], set, c.serves(c.Nodes[0], alone), render.Vars{"masquerade": masquerade})
			c.getsEverywhere(c.pod("node1-a").Namespace, c.Nodes[0], 5, alone)
		}
	}
}

// TestMasquerade asks endpoints whom they see.
func TestMasquerade(t *testing.T) {
	c := newCluster(t)
	node := c.Nodes[0]
	for _, p := range c.Pods() {
		talk(t, p)
	}
	outside, pod := c.Client, c.pod("node1-b").Namespace
	bystander := c.pod("node1-c").Namespace
	client := []string{"10.34.4.100", "fd34:4::100"}
	lan, bridge := []string{"10.34.4.141", "fd34:4::141"}, []string{"10.42.1.1", "fd42:1::1"}
	tests := []struct {
		masquerade, endpoint string
		from                 *lab.Namespace
		sees                 []string
	}{
		{"all", "node1-a", outside, bridge},
		{"all", "node2-a", outside, lan},
		{"all", "node1-b", pod, bridge},
		{"remote", "node1-a", outside, client},
		{"remote", "node2-a", outside, lan},
		{"remote", "node1-b", pod, bridge},
		{"remote", "node2-a", pod, lan},
		{"remote", "node2-a", bystander, lan},
		{"remote", "node1-a", node.Namespace, lan},
		{"remote", "node1-a", c.pod("node2-a").Namespace, []string{"10.42.2.10", "fd42:2::10"}},
		{"none", "node1-a", outside, client},
	}
	for _, set := range templates.Names() {
		for _, tt := range tests {
			c.run(fmt.Sprintf("%s/%s of %s", set, tt.masquerade, tt.endpoint), func(c *cluster) {
				st := c.serves(node, shares{tt.endpoint: 1})
				for _, p := range st.ServicePorts {
					for i := range p.Endpoints {
						p.Endpoints[i].Port = talkPort
					}
				}
				c.steer(node, set, st, render.Vars{"masquerade": tt.masquerade})
				for i, six := range []bool{false, true} {
					conn := dial(c.t, tt.from, netip.Addr{}, netip.AddrPortFrom(node.Addr(six), nodePort))
					name, peer := conn.ask(c.t)
					if name != tt.endpoint || peer != tt.sees[i] {
						c.t.Errorf("%s sees %s, want %s to see %s", name, peer, tt.endpoint, tt.sees[i])
					}
				}
			})
		}
	}
}

// TestFallsThrough has a ServicePort that weft skips, and rules whose heartbeat
// ends: what stands behind them takes over, and connections that exist stay.
func TestFallsThrough(t *testing.T) {
	c := newCluster(t)
	node, behind := c.Nodes[0], shares{"node2-c": 1}
	if err := lab.Behind(node.Namespace, []netip.Addr{node.IPv4, node.IPv6}, nodePort, []netip.AddrPort{
		netip.AddrPortFrom(c.pod("node2-c").IPv4, labtest.Port), netip.AddrPortFrom(c.pod("node2-c").IPv6, labtest.Port),
	}); err != nil {
		t.Fatal(err)
	}
	talk(t, c.pod("node1-a"))
	for _, set := range templates.Names() {
		c.run(set, func(c *cluster) {
			st := c.serves(node, usual)
			for _, p := range st.ServicePorts {
				p.Skipped = "all endpoints are on one node"
			}
			c.steer(node, set, st, nil)
			c.getsEverywhere(c.Client, node, 10, behind)

			st = c.serves(node, shares{"node1-a": 1})
			st.ServicePorts[0].Endpoints[0].Port = talkPort // TCP over IPv4
			c.steer(node, set, st, render.Vars{"heartbeat": "1s"})
			held := dial(c.t, c.Client, netip.Addr{}, netip.AddrPortFrom(node.IPv4, nodePort))
			if name, _ := held.ask(c.t); name != "node1-a" {
				c.t.Fatalf("%s answers before the heartbeat ends, want node1-a", name)
			}
			time.Sleep(1200 * time.Millisecond)
			c.getsEverywhere(c.Client, node, 10, behind)
			if name, _ := held.ask(c.t); name != "node1-a" {
				c.t.Errorf("after the heartbeat %s answers, want node1-a", name)
			}
		})
	}
}

// TestEstablishedStay replaces the whole table under connections, by rules
// without their endpoint: they keep it, and only new ones go by the new shares.
func TestEstablishedStay(t *testing.T) {
	c := newCluster(t)
	node := c.Nodes[0]
	for _, p := range c.Pods() {
		talk(t, p)
	}
	serves := func(to shares) *state.State {
		st := c.serves(node, to)
		for i := range st.ServicePorts[0].Endpoints { // TCP
			st.ServicePorts[0].Endpoints[i].Port = talkPort
		}
		return st
	}
	names := func(conns []*conversation) shares {
		found := shares{}
		for _, conn := range conns {
			name, _ := conn.ask(t)
			found[name]++
		}
		return found
	}
	open := func() (conns []*conversation) {
		for i := range 20 {
			conns = append(conns, dial(t, c.Client, netip.Addr{}, netip.AddrPortFrom(node.Addr(i%2 == 0), nodePort)))
		}
		return conns
	}
	for _, set := range templates.Names() {
		c.steer(node, set, serves(shares{"node1-a": 1, "node2-a": 0}), nil)
		old := open()
		if got := names(old); !maps.Equal(got, shares{"node1-a": 20}) {
			t.Fatalf("%s: connections are to %v, want all to node1-a", set, got)
		}
		c.steer(node, set, serves(shares{"node1-a": 0, "node2-a": 1}), nil)
		if got := names(open()); !maps.Equal(got, shares{"node2-a": 20}) {
			t.Errorf("%s: new connections are to %v, want all to node2-a", set, got)
		}
		c.steer(node, set, serves(shares{"node2-a": 1}), nil)
		if got := names(old); !maps.Equal(got, shares{"node1-a": 20}) {
			t.Errorf("%s: old connections are to %v, want all to node1-a", set, got)
		}
	}
}

const (
	sticky  = "../../examples/templates/sticky"
	uniform = "../../examples/templates/uniform"
	direct  = "../../examples/templates/direct"
)

// TestSticky has a client that always gets the same endpoint, and many that get
// endpoints by the shares. A hash is no chance, and the clients are the same
// each time: the test always goes one way.
func TestSticky(t *testing.T) {
	c := newCluster(t)
	node := c.Nodes[0]
	c.steer(node, sticky, c.serves(node, usual), nil)
	for _, six := range []bool{false, true} {
		for _, network := range []string{"tcp", "udp"} {
			got, err := lab.Count(t.Context(), c.Client, network, netip.AddrPortFrom(node.Addr(six), nodePort), 40, 4)
			if err != nil || len(got) != 1 {
				t.Errorf("one client over %s to %v: endpoints %v, %v, want one", network, node.Addr(six), got, err)
			}
		}
	}
	talk(t, c.pod("node1-a"))
	talk(t, c.pod("node1-b"))
	talk(t, c.pod("node2-a"))
	st := c.serves(node, usual)
	for i := range st.ServicePorts[0].Endpoints {
		st.ServicePorts[0].Endpoints[i].Port = talkPort
	}
	c.steer(node, sticky, st, nil)
	clients(t, c)
	got := map[string]int{}
	for i := range 1000 {
		from := netip.AddrFrom4([4]byte{10, 99, byte(i >> 8), byte(i)})
		conn := dial(t, c.Client, from, netip.AddrPortFrom(node.IPv4, nodePort))
		name, _ := conn.ask(t)
		got[name]++
		conn.close()
	}
	labtest.Within(t, got, usual)
}

// clients gives the client the network 10.99.0.0/16.
func clients(t *testing.T, c *cluster) {
	t.Helper()
	_, err := c.Client.Run("ip", "route", "add", "local", "10.99.0.0/16", "dev", "lo")
	_, err2 := c.Nodes[0].Run("ip", "route", "add", "10.99.0.0/16", "via", "10.34.4.100")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
}

// TestOtherExamples has the sets that do not go by the shares.
func TestOtherExamples(t *testing.T) {
	c := newCluster(t)
	node := c.Nodes[0]
	load := func(name string, st *state.State) { // proven it cannot be: the shares are not those of the state
		set, err := render.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		desired, err := apply.Desire(t.Context(), set, st, render.DefaultVars())
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Do(func() error { return desired.Load(t.Context(), nft.Runner{}) }); err != nil {
			t.Fatal(err)
		}
	}
	load(uniform, c.serves(node, usual))
	c.getsEverywhere(c.Client, node, 300, shares{"node1-a": 1.0 / 3, "node1-b": 1.0 / 3, "node2-a": 1.0 / 3})
	load(direct, c.serves(node, usual))
	c.getsEverywhere(c.Client, node, 20, shares{"node1-a": 1})
}
