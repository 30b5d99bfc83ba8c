package verify_test

import (
	"cmp"
	"context"
	"strings"
	"testing"

	"weft/examples/lab/labtest"
	"weft/render/verify"
	"weft/state"
)

// semantic is a ruleset for an even state of three endpoints, told by what differs
// from the plainest one.
type semantic struct {
	name string
	// table is its family, sets what is before the chains, services and endpoints are
	// the rules of those chains, more is loaded afterwards.
	table, sets, services, endpoints, more string
	// want is a part of the finding; empty if the ruleset does its job.
	want string
}

const (
	toEndpoints = "ip daddr 10.34.4.141 tcp dport 30000 goto endpoints"
	thirds      = "map { 0 : 10.42.4.1 . 80, 1 : 10.42.4.2 . 80, 2 : 10.42.4.3 . 80 }"
	evenly      = "meta l4proto tcp dnat ip to numgen random mod 3 " + thirds
)

func (s semantic) text() string {
	table, services, endpoints := cmp.Or(s.table, "ip"), cmp.Or(s.services, toEndpoints), cmp.Or(s.endpoints, evenly)
	hooks, _, _ := strings.Cut(frame, "\tchain endpoints {")
	return "table " + table + " weft {\n\t" + s.sets + hooks + "\tchain endpoints {\n\t\t" + endpoints + "\n\t}\n" +
		"\tchain services {\n\t\t" + services + "\n\t}\n}\n" + s.more
}

// chain adds a base chain with one rule, after all others.
func chain(hook, rule string) string {
	return "add chain ip weft late { type " + hook + " ; }\nadd rule ip weft late " + rule + "\n"
}

// marks has two chains of the same priority that set the mark to 1 and then to 2,
// and drops packets with a mark behind them.
func marks(dropped string) string {
	return "add chain ip weft older { type filter hook prerouting priority -300 ; }\nadd rule ip weft older meta mark set 1\n" +
		"add chain ip weft behind { type filter hook prerouting priority -299 ; }\nadd rule ip weft behind meta mark " + dropped + " drop\n" +
		chain("filter hook prerouting priority -300", "meta mark set 2")
}

// both goes on whether a condition holds or not, but not where its rule breaks off.
func both(yes, no string) string {
	const to = "ip daddr 10.34.4.141 tcp dport 30000 "
	return to + yes + " goto endpoints\n\t\t" + to + no + " goto endpoints"
}

// semantics are what the kernel does in ways that one would not expect.
func semantics() []semantic {
	const ours = "ip daddr 10.34.4.141 tcp dport 30000 "
	return []semantic{
		{name: "plain"},
		// base chains
		{name: "younger chain of the same priority", more: chain("nat hook prerouting priority -150", ours+"dnat to 10.42.4.9:80"), want: "10.42.4.9:80 is no endpoint"},
		{name: "younger filter chain of the same priority", more: marks("2")},
		{name: "older filter chain of the same priority", more: marks("1"), want: "dropped"},
		{name: "same priority in another table", more: "table inet weft {\n\tchain c {\n\t\ttype nat hook prerouting priority -150;\n\t\t" + ours + "counter\n\t}\n}\n", want: "which goes first is not known"},
		{name: "priority of the nat dispatcher", more: chain("filter hook prerouting priority -100", "ip daddr 10.42.4.1 drop"), want: "which goes first is not known"},
		{name: "priority of conntrack", more: chain("filter hook prerouting priority -200", "ct state new counter"), want: "priority of conntrack"},
		{name: "empty base chain", more: "add chain ip weft late { type filter hook prerouting priority -200 ; }\n"},
		{name: "ingress", table: "inet", services: "meta nfproto ipv4 " + toEndpoints, more: "add chain inet weft in { type filter hook ingress device lo priority 0 ; }\nadd rule inet weft in tcp dport 30000 drop\n", want: "ingress"},
		{name: "type route", more: chain("route hook output priority -300", ours+"drop"), want: "output"},
		{name: "second nat chain behind", more: chain("nat hook prerouting priority -140", ours+"dnat to 10.42.4.9:80")},
		{name: "second nat chain before", more: chain("nat hook prerouting priority -160", ours+"dnat to 10.42.4.9:80"), want: "10.42.4.9:80 is no endpoint"},
		// conntrack
		{name: "new before conntrack", more: chain("filter hook prerouting priority -300", "ct state new drop")},
		{name: "invalid before conntrack", more: chain("filter hook prerouting priority -300", "ct state invalid drop"), want: "dropped"},
		{name: "ct mark before conntrack", more: chain("filter hook prerouting priority -300", "ct mark 0 drop")},
		{name: "new behind conntrack", services: "ct state new " + toEndpoints},
		{name: "notrack too late", more: chain("filter hook prerouting priority -160", "tcp dport 30000 notrack")},
		{name: "established dropped", more: chain("filter hook forward priority 0", "ct state established drop"), want: "connections that exist"},
		{name: "established dropped early", more: chain("filter hook prerouting priority 0", "ct state established drop"), want: "connections that exist"},
		{name: "answers dropped", more: chain("filter hook forward priority 0", "ct direction reply ip saddr 10.42.4.1 drop"), want: "connections that exist"},
		{name: "answers untracked", more: chain("filter hook prerouting priority -300", "ip saddr 10.42.4.1 tcp sport 80 notrack"), want: "connections that exist"},
		{name: "established counted", more: chain("filter hook forward priority 0", "ct state established,related counter accept")},
		{name: "invalid dropped", more: chain("filter hook forward priority 0", "ct state invalid drop")},
		{name: "others dropped", more: chain("filter hook forward priority 0", "ct status & dnat == 0 drop"), want: "none of the state's"},
		{name: "source replaced at input", more: chain("nat hook input priority 100", "snat to 192.0.2.1"), want: "source"},
		// what not every packet has
		{name: "socket's user", services: both("meta skuid 0", "meta skuid != 0"), want: "fall through"},
		{name: "helper", services: both("ct helper \"ftp\"", "ct helper != \"ftp\""), want: "fall through"},
		{name: "bytes behind the header", services: both("@th,800,8 1", "@th,800,8 != 1"), want: "fall through"},
		{name: "bytes of the header", services: both("@th,96,8 1", "@th,96,8 != 1")},
		{name: "group of no interface", services: both("oifgroup 0", "oifgroup != 0"), want: "fall through"},
		{name: "link header", services: both("ether saddr 00:00:00:00:00:01", "ether saddr != 00:00:00:00:00:01"), want: "fall through"},
		{name: "mark of each packet", services: both("meta mark 1", "meta mark != 1")},
		// numbers
		{name: "hash of a mark", endpoints: "meta l4proto tcp dnat ip to jhash meta mark mod 3 seed 1 " + thirds, want: "jhash"},
		{name: "hash of too little", endpoints: "meta l4proto tcp dnat ip to jhash ip saddr & 0.0.0.3 mod 3 seed 1 " + thirds, want: "jhash"},
		{name: "hash of enough", endpoints: "meta l4proto tcp dnat ip to jhash ip saddr & 0.0.255.255 mod 3 seed 1 " + thirds},
		{name: "counting", endpoints: strings.Replace(evenly, "random", "inc", 1)},
		{name: "counting in step", endpoints: "numgen inc mod 3 0 meta mark set 7\n\t\tnumgen inc mod 3 0 meta mark 7 meta l4proto tcp dnat to 10.42.4.1:80\n\t\t" + evenly, want: "behind another"},
		{name: "counting twice", sets: "chain y {\n\t\tnumgen inc mod 2 0 return\n\t\tmeta mark set 7\n\t}\n", endpoints: "jump y\n\t\tjump y\n\t\t" + evenly, want: "behind another"},
		{name: "offset", endpoints: "meta l4proto tcp dnat ip to numgen random mod 3 offset 7 map { 7 : 10.42.4.1 . 80, 8 : 10.42.4.2 . 80, 9 : 10.42.4.3 . 80 }"},
		{name: "offset forgotten in the map", endpoints: "meta l4proto tcp dnat ip to numgen random mod 3 offset 1 " + thirds, want: "fall through"},
		{name: "too few slots", endpoints: "meta l4proto tcp dnat ip to numgen random mod 5 map { 0-1 : 10.42.4.1 . 80, 2-3 : 10.42.4.2 . 80, 4 : 10.42.4.3 . 80 }", want: "another share"},
		// what depends on other packets
		{name: "limit met twice", sets: "chain y {\n\t\tlimit rate 1/second return\n\t\tmeta mark set 7\n\t}\n\tchain a {\n\t\tjump y\n\t\tmeta mark 7 accept\n\t\t" + toEndpoints + "\n\t}\n", services: "meta mark set 0\n\t\tjump y\n\t\tmeta mark 7 " + toEndpoints + "\n\t\tgoto a", want: "fall through"},
		{name: "quota", services: ours + "quota over 1 mbytes drop\n\t\t" + toEndpoints, want: "quota"},
		{name: "number of connections", services: ours + "ct count over 10 drop\n\t\t" + toEndpoints, want: "connlimit"},
		{name: "dynamic set", sets: "set s { type ipv4_addr; flags dynamic; }\n", services: "ip saddr @s drop\n\t\t" + toEndpoints, want: "dropped"},
		{name: "set that packets fill", sets: "set s { type ipv4_addr; flags timeout; }\n", services: "ip saddr @s drop\n\t\t" + toEndpoints, more: "add rule ip weft postrouting tcp dport 22 add @s { ip saddr }\n", want: "dropped"},
		{name: "set of those seen", sets: "set s { type ipv4_addr; flags dynamic; }\n", services: "add @s { ip saddr }\n\t\t" + toEndpoints},
		{name: "full set", sets: "set s { type ipv4_addr; size 1; flags dynamic; }\n", services: "add @s { ip saddr } " + toEndpoints, want: "fall through"},
		{name: "sample", services: "numgen random mod 65536 0 log prefix \"sample\"\n\t\t" + toEndpoints},
		// translation
		{name: "flags of dnat", endpoints: "numgen random mod 3 < 1 meta l4proto tcp dnat to 10.42.4.1:80 random,persistent\n\t\tnumgen random mod 2 < 1 meta l4proto tcp dnat to 10.42.4.2:80 persistent\n\t\tmeta l4proto tcp dnat to 10.42.4.3:80 fully-random"},
		{name: "flags of masquerade", more: "flush chain ip weft postrouting\nadd rule ip weft postrouting ct status dnat ct original ip daddr 10.34.4.141 meta l4proto tcp ct original proto-dst 30000 masquerade random,persistent\n"},
		{name: "range of ports", endpoints: strings.Replace(cascaded, "10.42.4.1:80", "10.42.4.1:80-81", 1), want: "not one port"},
		{name: "range of one port", endpoints: strings.Replace(cascaded, "10.42.4.1:80", "10.42.4.1:80-80", 1)},
		{name: "no port", endpoints: strings.Replace(cascaded, "10.42.4.1:80", "10.42.4.1", 1), want: "10.42.4.1:30000 is no endpoint"},
		{name: "written address", more: chain("filter hook prerouting priority -160", ours+"ip daddr set 192.0.2.1"), want: "payload write"},
		// other ways to say the same
		{name: "default of a verdict map", services: "ip daddr 10.34.4.141 tcp dport vmap { 30000 : goto endpoints, * : accept }"},
		{name: "wrong default of a verdict map", services: "ip daddr 10.34.4.141 tcp dport vmap { 30001 : accept, * : goto endpoints }", want: "none of the state's"},
		{name: "chain without a name", services: "ip daddr 10.34.4.141 tcp dport 30000 goto {\n\t\tgoto endpoints\n\t\t}"},
		{name: "negated sets", services: "ip daddr != { 0.0.0.0-10.34.4.140, 10.34.4.142-255.255.255.255 } tcp dport != { 0-29999, 30001-65535 } goto endpoints"},
		{name: "negated sets with a hole", services: "ip daddr != { 0.0.0.0-10.34.4.140, 10.34.4.142-255.255.255.255 } tcp dport != { 0-29999, 30002-65535 } goto endpoints", want: "30001"},
		{name: "bits of the address", services: "ip daddr & 255.255.255.255 == 10.34.4.141 tcp dport & 0xfff0 == 0x7530 tcp dport < 30001 goto endpoints"},
		{name: "route of the address", services: "fib daddr type local " + toEndpoints},
		{name: "copied", more: chain("filter hook prerouting priority -151", ours+"dup to 192.0.2.1"), want: "dup"},
	}
}

const cascaded = "numgen random mod 3 < 1 meta l4proto tcp dnat to 10.42.4.1:80\n\t\tnumgen random mod 2 < 1 meta l4proto tcp dnat to 10.42.4.2:80\n\t\tmeta l4proto tcp dnat to 10.42.4.3:80"

func TestKernelSemantics(t *testing.T) {
	for _, test := range semantics() {
		t.Run(test.name, func(t *testing.T) {
			ns := labtest.Scratch(t)
			load(t, ns, test.text())
			rs, err := verify.Read(context.Background(), ns.FD(), append(tables, verify.TableID{Family: verify.INet, Name: "weft"}))
			if err != nil {
				t.Fatal(err)
			}
			r := verify.Check(rs, even(3), verify.Want{})
			if found := r.String(); test.want == "" && !r.OK() || test.want != "" && (r.OK() || !strings.Contains(found, test.want)) {
				t.Errorf("want %q, got\n%s\nof\n%s", test.want, found, test.text())
			}
		})
	}
}

// TestCountersAreNotShared: two NodePorts that count with the same numgen may each
// get every other number.
func TestCountersAreNotShared(t *testing.T) {
	s := semantic{
		services:  "ip daddr 10.34.4.141 tcp dport { 30000, 30001 } goto endpoints",
		endpoints: strings.Replace(evenly, "random", "inc", 1),
		more:      "add rule ip weft postrouting ct status dnat ct original ip daddr 10.34.4.141 meta l4proto tcp ct original proto-dst 30001 masquerade\n",
	}
	ns := labtest.Scratch(t)
	load(t, ns, s.text())
	st := even(3)
	other := *st.ServicePorts[0]
	other.Name, other.NodePort = "other", 30001
	st.ServicePorts = append(st.ServicePorts, &other)
	if r := verify.Check(read(t, ns), st, verify.Want{}); len(r.Differs) > 0 || !strings.Contains(r.String(), "numgen inc") {
		t.Errorf("report = %v, want doubt", r)
	}
	r, err := verify.Open(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := verify.NewProver(r, tables)
	if err := p.Read(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := p.Check(st, verify.Want{}); r.OK() {
		t.Errorf("the prover's report = %v, want doubt", r)
	}
}

// TestHeartbeatHoldsTheRules: rules that go on without the heartbeat's elements
// would not let go of the node.
func TestHeartbeatHoldsTheRules(t *testing.T) {
	const sets = "set beats { type ipv4_addr; flags timeout; elements = { 10.34.4.141 timeout 60s }\n\t}\n"
	for services, want := range map[string]string{
		"ip daddr @beats tcp dport 30000 goto endpoints":                "",
		"ip daddr != @beats return\n\t\ttcp dport 30000 goto endpoints": "",
		toEndpoints: "heartbeat is over",
		"ip daddr @beats tcp dport 30000 goto endpoints\n\t\t" + toEndpoints: "heartbeat is over",
	} {
		ns := labtest.Scratch(t)
		load(t, ns, semantic{sets: sets, services: services}.text())
		rs := read(t, ns)
		if r := verify.Check(rs, even(3), verify.Want{}); !r.OK() {
			t.Errorf("%s: %v", services, r)
		}
		r := verify.Check(rs, even(3), verify.Want{Heartbeat: "beats"})
		if r.OK() != (want == "") || !strings.Contains(r.String(), want) {
			t.Errorf("%s: want %q, got %v", services, want, r)
		}
	}
}

// TestSlotsAreFineEnough: half and half is within one slot of nine to one only
// where somebody asks for two slots.
func TestSlotsAreFineEnough(t *testing.T) {
	st := even(2)
	list := st.ServicePorts[0].Endpoints
	list[0].Share, list[1].Share = 0.9, 0.1
	ns := labtest.Scratch(t)
	load(t, ns, ruleset(st, uniform, verify.MasqueradeAll))
	for modulus, proven := range map[int]bool{0: false, 2: true, 10: false, 100: false, 1000: false} {
		if r := verify.Check(read(t, ns), st, verify.Want{Modulus: modulus}); r.OK() != proven {
			t.Errorf("with %d slots wanted: %v", modulus, r)
		}
	}
}

// TestSamples: a number that is drawn for the log alone is no slot, and keeps no
// client from its endpoint.
func TestSamples(t *testing.T) {
	const sample = "numgen random mod 65536 < 3 log prefix \"sample\"\n\t\t"
	st := even(3)
	for name, endpoints := range map[string]string{
		"map":     strings.Replace(evenly, "mod 3 "+thirds, "mod 100 map { 0-32 : 10.42.4.1 . 80, 33-66 : 10.42.4.2 . 80, 67-99 : 10.42.4.3 . 80 }", 1),
		"cascade": strings.Replace(cascaded, "mod 3 < 1", "mod 100 < 34", 1),
	} {
		ns := labtest.Scratch(t)
		load(t, ns, semantic{services: sample + toEndpoints, endpoints: endpoints}.text())
		if r := verify.Check(read(t, ns), st, verify.Want{}); !r.OK() {
			t.Errorf("%s: %v", name, r)
		}
	}
	st.ServicePorts[0].Affinity = state.ClientIP
	for hash, proven := range map[string]bool{"jhash ip saddr mod 3 seed 1": true, "symhash mod 3": false} {
		ns := labtest.Scratch(t)
		load(t, ns, semantic{services: sample + toEndpoints, endpoints: "meta l4proto tcp dnat ip to " + hash + " " + thirds}.text())
		if r := verify.Check(read(t, ns), st, verify.Want{}); r.OK() != proven {
			t.Errorf("%s: %v", hash, r)
		}
	}
}

// TestRaisedSharesAreSmall: what an endpoint below one slot is given is all that
// another may miss.
func TestRaisedSharesAreSmall(t *testing.T) {
	st := &state.State{Node: "here", Addresses: even(1).Addresses}
	sp := &state.ServicePort{Namespace: "riset", Name: "even", Protocol: state.TCP, NodePort: 30000}
	for i, share := range []float64{0.5, 0.48, 0.005, 0.005, 0.005, 0.005} {
		sp.Endpoints = append(sp.Endpoints, endpoint("10.42.4."+string(rune('1'+i)), 80, "there", share))
	}
	st.ServicePorts = append(st.ServicePorts, sp)
	good := "{ 0-48 : 10.42.4.1 . 80, 49-95 : 10.42.4.2 . 80, 96 : 10.42.4.3 . 80, 97 : 10.42.4.4 . 80, 98 : 10.42.4.5 . 80, 99 : 10.42.4.6 . 80 }"
	tests := map[string]bool{
		good: true,
		strings.Replace(strings.Replace(good, "0-48", "0-45", 1), "49-95", "46-95", 1): false,
	}
	for elements, proven := range tests {
		ns := labtest.Scratch(t)
		load(t, ns, semantic{endpoints: "meta l4proto tcp dnat ip to numgen random mod 100 map " + elements}.text())
		if r := verify.Check(read(t, ns), st, verify.Want{}); r.OK() != proven {
			t.Errorf("%s: %v", elements, r)
		}
	}
}
