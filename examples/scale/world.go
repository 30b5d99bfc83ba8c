package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"weft/state"
)

// maxSize is how many ServicePorts the names and addresses below are made for. A
// cluster has 2,768 NodePorts unless it was told to have more.
const maxSize = 30000

const node = "192.0.2.1"

// shares are those of ten endpoints.
var shares = [...]float64{0.19, 0.17, 0.15, 0.13, 0.11, 0.09, 0.07, 0.05, 0.03, 0.01}

// crowd is a state with n ServicePorts of ten endpoints each.
func crowd(n int) *state.State {
	st := &state.State{Node: "node-1", Generation: 1, Addresses: []netip.Addr{netip.MustParseAddr(node)}}
	for i := range n {
		st.ServicePorts = append(st.ServicePorts, servicePort(i))
	}
	return st
}

func servicePort(i int) *state.ServicePort {
	sp := &state.ServicePort{Namespace: "bench", Name: fmt.Sprintf("sp-%05d", i), Protocol: state.TCP, NodePort: uint16(30000 + i)}
	if i == 0 { // to which packets are sent
		sp.Protocol = state.UDP
	}
	for k, share := range shares {
		sp.Endpoints = append(sp.Endpoints, state.Endpoint{
			Address: netip.AddrFrom4([4]byte{10, byte(42 + k), byte(i >> 8), byte(i)}), Port: 8080, Node: fmt.Sprintf("node-%d", k+2), Share: share,
		})
	}
	return sp
}

// next is a state that differs, of the next generation.
func next(st *state.State) *state.State {
	changed := *st
	changed.Generation++
	changed.ServicePorts = slices.Clone(st.ServicePorts)
	return &changed
}

// edit changes the i-th ServicePort of a state.
func edit(st *state.State, i int, change func(list []state.Endpoint)) {
	sp := *st.ServicePorts[i]
	sp.Endpoints = slices.Clone(sp.Endpoints)
	change(sp.Endpoints)
	st.ServicePorts[i] = &sp
}

// change is something that happens to a cluster.
type change struct {
	name string
	// to makes the round-th state out of the last one, and says which ServicePorts
	// are other than before: changed, new and gone.
	to func(st *state.State, round int) (after *state.State, what edited)
	// full says that the yardstick is the whole text.
	full bool
	// adds says that a ServicePort comes or goes.
	adds bool
}

// edited says of what a transaction by hand consists.
type edited struct{ changed, added, removed *state.ServicePort }

var changes = []change{
	{name: "one endpoint changed", to: func(st *state.State, round int) (*state.State, edited) {
		after := next(st)
		i := (1 + 37*round) % len(after.ServicePorts)
		edit(after, i, func(list []state.Endpoint) {
			list[3].Address = netip.AddrFrom4([4]byte{10, 99, byte(round), byte(1 + st.Generation)})
		})
		return after, edited{changed: after.ServicePorts[i]}
	}},
	{name: "one share changed", to: func(st *state.State, round int) (*state.State, edited) {
		after := next(st)
		i := (2 + 37*round) % len(after.ServicePorts)
		edit(after, i, swapShares)
		return after, edited{changed: after.ServicePorts[i]}
	}},
	{name: "one ServicePort added", adds: true, to: func(st *state.State, _ int) (*state.State, edited) {
		after := next(st)
		sp := servicePort(len(st.ServicePorts))
		after.ServicePorts = append(after.ServicePorts, sp)
		return after, edited{added: sp}
	}},
	{name: "one ServicePort removed", adds: true, to: func(st *state.State, _ int) (*state.State, edited) {
		after := next(st)
		last := len(st.ServicePorts) - 1
		after.ServicePorts = after.ServicePorts[:last]
		return after, edited{removed: st.ServicePorts[last]}
	}},
	{name: "all shares changed", full: true, to: func(st *state.State, _ int) (*state.State, edited) {
		after := next(st)
		for i := range after.ServicePorts {
			edit(after, i, swapShares)
		}
		return after, edited{}
	}},
}

// swapShares gives two endpoints the share of the other.
func swapShares(list []state.Endpoint) { list[0].Share, list[9].Share = list[9].Share, list[0].Share }

// byHand is the smallest transaction for a change of one ServicePort, as somebody
// would write it who knows the rendered texts before and after. Rules that go from a
// chain take the others of the chain along: text does not know their handles.
func byHand(before, after string, e edited) (string, error) {
	switch {
	case e.changed != nil:
		c, err := chainOf(after, e.changed)
		return c.refill(), err
	case e.added != nil:
		c, err := chainOf(after, e.added)
		return "table ip weft {\n" + c.own + "}\n" + verb("add", c.elements), err
	}
	c, err := chainOf(before, e.removed)
	left := c
	left.blocks = strings.Replace(c.blocks, c.own, "", 1)
	if left.blocks == "" {
		return verb("delete", c.elements) + "delete chain ip weft " + c.name + "\n", err
	}
	return verb("delete", c.elements) + left.refill(), err
}

// chain is what a rendered text has of a ServicePort.
type chain struct {
	name, blocks string            // of the chain, which may be that of others, too
	own          string            // the block of the ServicePort
	elements     map[string]string // of each set
}

func (c chain) refill() string {
	return "flush chain ip weft " + c.name + "\ntable ip weft {\n" + c.blocks + "}\n"
}

// chainOf finds the chain of a ServicePort in a rendered text.
func chainOf(text string, sp *state.ServicePort) (c chain, err error) {
	if c.elements, err = elements(text, sp); err != nil {
		return c, err
	}
	_, c.name, _ = strings.Cut(c.elements["service-nodeports"], ": goto ")
	head := "\tchain " + c.name + " {\n"
	for at := 0; ; {
		next := strings.Index(text[at:], head)
		if next < 0 {
			break
		}
		at += next
		end := at + strings.Index(text[at:], "\n\t}\n") + len("\n\t}\n")
		block := text[at:end]
		c.blocks += block
		if at = end; c.own == "" || strings.Contains(block, fmt.Sprintf("th dport %d ", sp.NodePort)) {
			c.own = block
		}
	}
	if c.own == "" {
		return c, fmt.Errorf("the rendered text has no chain of %s", sp.ID())
	}
	return c, nil
}

// elements finds the elements that a ServicePort has in the table's sets.
func elements(text string, sp *state.ServicePort) (map[string]string, error) {
	port := fmt.Sprint(sp.NodePort)
	found := map[string]string{}
	set := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if f := strings.Fields(line); len(f) == 3 && (f[0] == "set" || f[0] == "map") {
			set = f[1]
		}
		if line = strings.TrimSuffix(line, ","); line == port || strings.HasPrefix(line, string(sp.Protocol)+" . "+port+" ") {
			found[set] = line
		}
	}
	if len(found) < 2 {
		return nil, fmt.Errorf("the rendered text has %d elements of %s, expected one in a map and one in a set", len(found), sp.ID())
	}
	return found, nil
}

func verb(verb string, elements map[string]string) string {
	var text strings.Builder
	for set, element := range elements {
		if verb == "delete" {
			element, _, _ = strings.Cut(element, " comment ")
		}
		fmt.Fprintf(&text, "%s element ip weft %s { %s }\n", verb, set, element)
	}
	return text.String()
}

// proxyShape is the same ServicePorts in the shape of kube-proxy 1.37: a chain
// with a uniform map for each.
func proxyShape(st *state.State) string {
	var elements, chains strings.Builder
	for i, sp := range st.ServicePorts {
		fmt.Fprintf(&elements, "\t\t\t%s . %d : goto service-%d,\n", sp.Protocol, sp.NodePort, i)
		fmt.Fprintf(&chains, "\tchain service-%d {\n\t\tmeta l4proto %s dnat ip to numgen random mod %d map { ", i, sp.Protocol, len(sp.Endpoints))
		for k, e := range sp.Endpoints {
			if k > 0 {
				chains.WriteString(", ")
			}
			fmt.Fprintf(&chains, "%d : %s . %d", k, e.Address, e.Port)
		}
		chains.WriteString(" }\n\t}\n")
	}
	return fmt.Sprintf(`table ip kube-proxy {
	set nodeport-ips {
		type ipv4_addr
		elements = { %s }
	}
	map service-nodeports {
		type inet_proto . inet_service : verdict
		elements = {
%s		}
	}
%s	chain services {
		ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
	}
	chain nat-output {
		type nat hook output priority -100; policy accept;
		jump services
	}
	chain nat-prerouting {
		type nat hook prerouting priority -100; policy accept;
		jump services
	}
}
`, node, &elements, &chains)
}

// plainRule is the least that a node port takes.
const plainRule = `table ip plain {
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr ` + node + ` udp dport 30000 dnat to 10.42.0.0:8080
	}
}
`

// noRule has a nat chain and nothing in it: what conntrack and NAT cost themselves.
const noRule = `table ip plain {
	chain output {
		type nat hook output priority -100; policy accept;
	}
}
`
