package verify_test

import (
	"context"
	"strings"
	"testing"

	"weft/examples/lab/labtest"
	"weft/render/verify"
	"weft/state"
)

// hooks and masquerading that the rulesets of TestAnyTemplatePasses share.
const frame = `
	chain prerouting { type nat hook prerouting priority -150; policy accept; jump services; }
	chain output { type nat hook output priority -150; policy accept; jump services; }
	chain postrouting {
		type nat hook postrouting priority 90; policy accept;
		ct status dnat ct original ip daddr 10.34.4.141 meta l4proto tcp ct original proto-dst 30000 masquerade
	}
	chain endpoints {
		meta l4proto tcp dnat ip to numgen random mod 3 map { 0 : 10.42.4.1 . 80, 1 : 10.42.4.2 . 80, 2 : 10.42.4.3 . 80 }
	}
`

// TestAnyTemplatePasses: rulesets that look nothing like weft's own and do the job.
func TestAnyTemplatePasses(t *testing.T) {
	tests := []struct{ name, table, sets, services, more string }{
		{"three fields", "ip", "map m { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.34.4.141 . tcp . 30000 : goto endpoints }\n\t}\n", "ip daddr . meta l4proto . th dport vmap @m", ""},
		{"plain matches", "ip", "", "ip daddr 10.34.4.141 tcp dport 30000 goto endpoints", ""},
		{"inet", "inet", "", "meta nfproto ipv4 ip daddr 10.34.4.141 tcp dport 30000 goto endpoints", ""},
		{"interval map", "ip", "", "ip daddr 10.34.4.141 tcp dport vmap { 1-29999 : return, 30000 : goto endpoints, 30001-65535 : continue }", ""},
		{"ranges of several fields", "ip", "map m { type ipv4_addr . inet_service : verdict; flags interval; elements = { 10.34.4.141 . 30000-30000 : goto endpoints, 10.34.5.0/24 . 1-100 : accept }\n\t}\n", "meta l4proto tcp ip daddr . tcp dport vmap @m", ""},
		{"set with neighbouring intervals", "ip", "set s { type inet_service; flags interval; elements = { 29990-29999 }\n\t}\n", "ip daddr 10.34.4.141 tcp dport @s goto endpoints", "add element ip weft s { 30000 }\ndelete element ip weft s { 29990-29999 }\n"},
		{"statements without effect", "ip", "counter hits { }\n\t", "counter name hits ip daddr 10.34.4.141 limit rate 5/second log prefix \"x\"\n\t\tip daddr 10.34.4.141 tcp dport 30000 counter meta priority set 1:1 goto endpoints", ""},
		{"mark that it sets itself", "ip", "", "ip daddr 10.34.4.141 tcp dport 30000 meta mark set 0x10\n\t\tmeta mark & 0xf0 == 0x10 ip daddr 10.34.4.141 tcp dport 30000 goto endpoints", ""},
		{"everything but", "ip", "", "ip daddr != 10.34.4.141 return\n\t\tmeta l4proto != tcp return\n\t\ttcp dport < 30000 return\n\t\ttcp dport > 30000 return\n\t\tgoto endpoints", ""},
		{"both branches alike", "ip", "", "iifname \"eth0\" ip daddr 10.34.4.141 tcp dport 30000 goto endpoints\n\t\tip daddr 10.34.4.141 tcp dport 30000 goto endpoints", ""},
	}
	st := even(3)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ns := labtest.Scratch(t)
			load(t, ns, "table "+test.table+" weft {\n\t"+test.sets+frame+"\tchain services {\n\t\t"+test.services+"\n\t}\n}\n"+test.more)
			rs, err := verify.Read(context.Background(), ns.FD(), append(tables, verify.TableID{Family: verify.INet, Name: "weft"}))
			if err != nil {
				t.Fatal(err)
			}
			if r := verify.Check(rs, st, verify.Want{}); !r.OK() {
				t.Errorf("report = %v", r)
			}
		})
	}
}

// TestNeighbouringIntervals: intervals that were added apart keep an end marker
// with the key of the next one's beginning.
func TestNeighbouringIntervals(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, "table ip weft {\n\tset s { type inet_service; flags interval; elements = { 29990-29999 }\n\t}\n"+frame+"\tchain services {\n\t\tip daddr 10.34.4.141 tcp dport @s goto endpoints\n\t}\n}\n")
	load(t, ns, "add element ip weft s { 30000-30010 }\n")
	for port, kind := range map[uint16]verify.Kind{29989: verify.Through, 29990: verify.Translated, 29999: verify.Translated, 30000: verify.Translated, 30010: verify.Translated, 30011: verify.Through} {
		o := trace(t, read(t, ns), verify.Prerouting, port)
		if len(o.Classes) != 1 || o.Classes[0].Ends[0].Kind != kind {
			t.Errorf("port %d: %v, want kind %d", port, o, kind)
		}
	}
}

func trace(t *testing.T, rs *verify.Ruleset, hook verify.Hook, port uint16) verify.Outcome {
	t.Helper()
	e := endpoint("10.34.4.141", port, "", 0)
	o, err := rs.Trace(hook, verify.Packet{Protocol: state.TCP, Destination: e.AddrPort(), Local: true})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestNoIncomingInterfaceAtOutput: the host's own packets have no incoming
// interface, so a rule about one concerns others alone.
func TestNoIncomingInterfaceAtOutput(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, strings.Replace(ruleset(even(3), uniform, verify.MasqueradeAll), "chain services {", "chain services {\n\t\tiifname \"eth0\" drop", 1))
	rs := read(t, ns)
	if n := len(trace(t, rs, verify.Prerouting, 30000).Classes); n != 2 {
		t.Errorf("%d classes at prerouting, want 2", n)
	}
	if n := len(trace(t, rs, verify.Output, 30000).Classes); n != 1 {
		t.Errorf("%d classes at output, want 1", n)
	}
}

// TestPathNamesRules: a path tells the rules that sent the packet on.
func TestPathNamesRules(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, ruleset(even(1), direct, verify.MasqueradeAll))
	var words []string
	for _, s := range trace(t, read(t, ns), verify.Prerouting, 30000).Classes[0].Ends[0].Path() {
		words = append(words, s.Chain+": "+s.Verdict)
	}
	const want = "prerouting: jump -> services; services: goto -> svc-0; svc-0: dnat to 10.42.4.1:80"
	if got := strings.Join(words, "; "); got != want {
		t.Errorf("path = %q, want %q", got, want)
	}
}
