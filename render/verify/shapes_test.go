package verify_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/verify"
	"weft/state"
)

var tables = []verify.TableID{{Family: verify.IPv4, Name: "weft"}, {Family: verify.IPv6, Name: "weft"}}

// shape writes the rules of one ServicePort's chain.
type shape func(ip string, sp *state.ServicePort, list []state.Endpoint) string

func slots(list []state.Endpoint, modulus int) []int {
	out, sum := make([]int, len(list)), 0
	for i, e := range list {
		out[i] = int(e.Share * float64(modulus))
		if out[i] == 0 && e.Share > 0 {
			out[i] = 1
		}
		sum += out[i]
	}
	largest := 0
	for i := range list {
		if list[i].Share > list[largest].Share {
			largest = i
		}
	}
	out[largest] += modulus - sum
	return out
}

func inline(ip string, sp *state.ServicePort, list []state.Endpoint) string {
	return fmt.Sprintf("\t\tmeta l4proto %s dnat %s to numgen random mod 100 map { %s }\n", sp.Protocol, ip, elements(list))
}

func sticky(ip string, sp *state.ServicePort, list []state.Endpoint) string {
	return fmt.Sprintf("\t\tmeta l4proto %s dnat %s to jhash %s saddr mod 100 seed 0xdeadbeef map { %s }\n", sp.Protocol, ip, ip, elements(list))
}

func elements(list []state.Endpoint) string {
	var parts []string
	at := 0
	for i, n := range slots(list, 100) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d-%d : %s . %d", at, at+n-1, list[i].Address, list[i].Port))
		}
		at += n
	}
	return strings.ReplaceAll(strings.Join(parts, ", "), "0-0 :", "0 :")
}

func cascade(_ string, sp *state.ServicePort, list []state.Endpoint) string {
	text, left := "", 100
	for i, n := range slots(list, 100) {
		switch {
		case n == 0:
			continue
		case n == left:
			text += fmt.Sprintf("\t\tmeta l4proto %s dnat to %s\n", sp.Protocol, list[i].AddrPort())
		default:
			text += fmt.Sprintf("\t\tnumgen random mod %d < %d meta l4proto %s dnat to %s\n", left, n, sp.Protocol, list[i].AddrPort())
		}
		left -= n
	}
	return text
}

func uniform(_ string, sp *state.ServicePort, list []state.Endpoint) string {
	var parts []string
	for i, e := range list {
		parts = append(parts, fmt.Sprintf("%d : %s", i, e.Address))
	}
	return fmt.Sprintf("\t\t%s dport %d dnat to numgen random mod %d map { %s }:%d\n",
		sp.Protocol, sp.NodePort, len(list), strings.Join(parts, ", "), list[0].Port)
}

func direct(_ string, sp *state.ServicePort, list []state.Endpoint) string {
	return fmt.Sprintf("\t\tmeta l4proto %s dnat to %s\n", sp.Protocol, list[0].AddrPort())
}

// ruleset writes the tables of a state in one shape, as weft's templates do.
func ruleset(st *state.State, s shape, m verify.Masquerade) string {
	return familyTable(st, s, m, false) + familyTable(st, s, m, true)
}

func familyTable(st *state.State, s shape, m verify.Masquerade, v6 bool) string {
	ip, addr := "ip", "ipv4_addr"
	if v6 {
		ip, addr = "ip6", "ipv6_addr"
	}
	var ips, local, chains, vmap []string
	nodePorts := map[state.Protocol][]string{}
	for _, a := range st.Addresses {
		if a.Is6() == v6 {
			ips = append(ips, a.String()+" timeout 60s")
		}
	}
	if len(ips) == 0 {
		return ""
	}
	for i, sp := range st.ServicePorts {
		var list []state.Endpoint
		for _, e := range sp.Endpoints {
			if e.Address.Is6() == v6 {
				list = append(list, e)
				if e.Node == st.Node {
					local = append(local, e.Address.String())
				}
			}
		}
		if !sp.Steered() || len(list) == 0 {
			continue
		}
		chains = append(chains, fmt.Sprintf("\tchain svc-%d {\n%s\t}\n", i, s(ip, sp, list)))
		vmap = append(vmap, fmt.Sprintf("%s . %d : goto svc-%d", sp.Protocol, sp.NodePort, i))
		nodePorts[sp.Protocol] = append(nodePorts[sp.Protocol], fmt.Sprint(sp.NodePort))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table %s weft {\n", ip)
	fmt.Fprintf(&b, "\tset nodeport-ips { type %s; flags timeout; elements = { %s }\n\t}\n", addr, strings.Join(ips, ", "))
	fmt.Fprintf(&b, "\tset local-endpoints { type %s; %s\n\t}\n", addr, elementList(local))
	for _, p := range []state.Protocol{state.TCP, state.UDP, state.SCTP} {
		fmt.Fprintf(&b, "\tset %s-nodeports { type inet_service; %s\n\t}\n", p, elementList(nodePorts[p]))
	}
	fmt.Fprintf(&b, "\tmap service-nodeports { type inet_proto . inet_service : verdict; %s\n\t}\n", elementList(vmap))
	b.WriteString("\tchain prerouting { type nat hook prerouting priority -150; policy accept; jump services; }\n")
	b.WriteString("\tchain output { type nat hook output priority -150; policy accept; jump services; }\n")
	fmt.Fprintf(&b, "\tchain services {\n\t\t%s daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports\n\t}\n", ip)
	b.WriteString(strings.Join(chains, ""))
	b.WriteString("\tchain postrouting {\n\t\ttype nat hook postrouting priority 90; policy accept;\n")
	for _, p := range []state.Protocol{state.TCP, state.UDP, state.SCTP} {
		ours := fmt.Sprintf("\t\tct status dnat ct original %s daddr @nodeport-ips meta l4proto %s ct original proto-dst @%s-nodeports", ip, p, p)
		switch m {
		case verify.MasqueradeAll:
			fmt.Fprintf(&b, "%s masquerade fully-random\n", ours)
		case verify.MasqueradeRemote:
			fmt.Fprintf(&b, "%s %s saddr @local-endpoints masquerade\n", ours, ip)
			fmt.Fprintf(&b, "%s %s daddr != @local-endpoints masquerade\n", ours, ip)
		}
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

func elementList(list []string) string {
	if len(list) == 0 {
		return ""
	}
	seen := map[string]bool{}
	var unique []string
	for _, e := range list {
		if !seen[e] {
			unique = append(unique, e)
		}
		seen[e] = true
	}
	return "elements = { " + strings.Join(unique, ", ") + " }"
}

func load(t testing.TB, ns *lab.Namespace, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ruleset.nft")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.Run("nft", "-f", file); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

func read(t testing.TB, ns *lab.Namespace) *verify.Ruleset {
	t.Helper()
	rs, err := verify.Read(context.Background(), ns.FD(), tables)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func endpoint(address string, port uint16, node string, share float64) state.Endpoint {
	return state.Endpoint{Address: netip.MustParseAddr(address), Port: port, Node: node, Share: share}
}

// example is a state with the cases that matter: IPv4 and IPv6, endpoints here
// and there, a drained one, TCP, UDP and SCTP, a single endpoint, a skipped one.
func example() *state.State {
	return &state.State{
		Node:      "here",
		Addresses: []netip.Addr{netip.MustParseAddr("10.34.4.141"), netip.MustParseAddr("fd00::141")},
		ServicePorts: []*state.ServicePort{
			{Namespace: "riset", Name: "web", Protocol: state.TCP, NodePort: 30000, Endpoints: []state.Endpoint{
				endpoint("10.42.4.201", 8080, "here", 0.5), endpoint("10.42.4.202", 8080, "there", 0.25),
				endpoint("10.42.5.169", 8081, "there", 0.25), endpoint("10.42.5.170", 8081, "there", 0),
				endpoint("fd42::201", 8080, "here", 0.7), endpoint("fd42::202", 8080, "there", 0.3),
			}},
			{Namespace: "riset", Name: "dns", Port: "dns", Protocol: state.UDP, NodePort: 30000, Endpoints: []state.Endpoint{
				endpoint("10.42.4.201", 53, "here", 0.9), endpoint("10.42.4.203", 53, "there", 0.1),
			}},
			{Namespace: "riset", Name: "one", Protocol: state.SCTP, NodePort: 30002, Endpoints: []state.Endpoint{
				endpoint("10.42.4.204", 1000, "there", 1),
			}},
			{Namespace: "riset", Name: "zero", Protocol: state.TCP, NodePort: 30100, Skipped: "all endpoints are on one node"},
		},
	}
}

// even is a state that uniform and direct shapes can serve.
func even(n int) *state.State {
	st := &state.State{Node: "here", Addresses: []netip.Addr{netip.MustParseAddr("10.34.4.141")}}
	sp := &state.ServicePort{Namespace: "riset", Name: "even", Protocol: state.TCP, NodePort: 30000}
	for i := range n {
		sp.Endpoints = append(sp.Endpoints, endpoint(fmt.Sprintf("10.42.4.%d", i+1), 80, "there", 1/float64(n)))
	}
	st.ServicePorts = append(st.ServicePorts, sp)
	return st
}

func TestShapesAreProven(t *testing.T) {
	tests := []struct {
		name  string
		state *state.State
		shape shape
	}{
		{"inline map", example(), inline},
		{"cascade", example(), cascade},
		{"sticky", example(), sticky},
		{"uniform", even(7), uniform},
		{"direct", even(1), direct},
	}
	modes := map[string]verify.Masquerade{"all": verify.MasqueradeAll, "remote": verify.MasqueradeRemote, "none": verify.MasqueradeNone}
	for _, test := range tests {
		for name, mode := range modes {
			t.Run(test.name+" "+name, func(t *testing.T) {
				ns := labtest.Scratch(t)
				load(t, ns, ruleset(test.state, test.shape, mode))
				report := verify.Check(read(t, ns), test.state, verify.Want{Masquerade: mode})
				if !report.OK() || report.Proven != len(test.state.ServicePorts) {
					t.Errorf("report = %v", report)
				}
				for other, wrong := range modes {
					if wrong == mode {
						continue
					}
					onlyRemote := mode != verify.MasqueradeNone && wrong != verify.MasqueradeNone && test.state.Addresses[0].Is4() && len(test.state.ServicePorts) == 1
					if r := verify.Check(read(t, ns), test.state, verify.Want{Masquerade: wrong}); r.OK() && !onlyRemote {
						t.Errorf("masquerade %s passes as %s", name, other)
					}
				}
			})
		}
	}
}

func writeFile(file, text string) error { return os.WriteFile(file, []byte(text), 0o600) }
