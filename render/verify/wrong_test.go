package verify_test

import (
	"strings"
	"testing"
	"time"

	"weft/examples/lab/labtest"
	"weft/render/verify"
)

// wrong is a ruleset that loads and is not what the state says.
type wrong struct {
	name     string
	shape    shape
	old, new string
	// want is a part of the finding.
	want string
	// unknown: the finding is one that cannot be told.
	unknown bool
}

func wrongs() []wrong {
	const map0 = "{ 0-49 : 10.42.4.201 . 8080, 50-74 : 10.42.4.202 . 8080, 75-99 : 10.42.5.169 . 8081 }"
	in := func(name, old, new, want string) wrong { return wrong{name, inline, old, new, want, false} }
	ca := func(name, old, new, want string) wrong { return wrong{name, cascade, old, new, want, false} }
	return []wrong{
		in("hole in the map", "50-74 : 10.42.4.202", "51-74 : 10.42.4.202", "fall through"),
		// at 99 each endpoint is still within one slot of its share, which is as good
		// as 99 slots can be; at 97 it is not
		in("modulus a little too small", "numgen random mod 100 map "+map0, "numgen random mod 97 map "+map0, "another share"),
		in("range beyond the modulus", "numgen random mod 100 map "+map0, "numgen random mod 75 map "+map0, "another share"),
		in("modulus above the ranges", "numgen random mod 100 map "+map0, "numgen random mod 120 map "+map0, "fall through"),
		in("offset", "numgen random mod 100 map "+map0, "numgen random mod 100 offset 10 map "+map0, "fall through"),
		in("wrong weight", map0, "{ 0-59 : 10.42.4.201 . 8080, 60-74 : 10.42.4.202 . 8080, 75-99 : 10.42.5.169 . 8081 }", "another share"),
		in("swapped ports", map0, "{ 0-49 : 10.42.4.201 . 8080, 50-74 : 10.42.4.202 . 8081, 75-99 : 10.42.5.169 . 8080 }", "is no endpoint"),
		in("stale endpoint", "50-74 : 10.42.4.202 ", "50-74 : 10.42.4.209 ", "10.42.4.209:8080 is no endpoint"),
		in("drained endpoint served", "75-99 : 10.42.5.169 . 8081", "75-98 : 10.42.5.169 . 8081, 99 : 10.42.5.170 . 8081", "drained"),
		in("endpoint missing", "50-74 : 10.42.4.202 . 8080, 75-99", "50-99", "10.42.4.202:8080 gets no packets"),
		in("lost jump in prerouting", "hook prerouting priority -150; policy accept; jump services;", "hook prerouting priority -150; policy accept; ", "prerouting"),
		in("lost jump in output", "hook output priority -150; policy accept; jump services;", "hook output priority -150; policy accept; ", "output"),
		in("missing output chain", "\tchain output { type nat hook output priority -150; policy accept; jump services; }\n", "", "output"),
		in("wrong hook", "hook prerouting priority -150", "hook output priority -151", "prerouting"),
		in("priority behind kube-proxy", "hook prerouting priority -150", "hook prerouting priority -50", "not before kube-proxy"),
		in("priority equal to kube-proxy", "hook output priority -150", "hook output priority -100", "not before kube-proxy"),
		in("filter chain", "chain services {", "chain gate { type filter hook prerouting priority -300; policy accept; tcp dport 30000 drop; }\n\tchain services {", "dropped"),
		in("untracked", "chain services {", "chain gate { type filter hook prerouting priority -300; policy accept; tcp dport 30000 notrack; }\n\tchain services {", "fall through"),
		in("drop behind the translation", "chain services {", "chain gate { type filter hook forward priority 0; policy accept; ip daddr 10.42.4.202 drop; }\n\tchain services {", "translated packets are dropped"),
		in("policy drop", "hook prerouting priority -150; policy accept", "hook prerouting priority -150; policy drop", "dropped"),
		in("unreachable chain", "chain services {", "chain lost { accept; }\n\tchain services {", "nothing reaches this chain"),
		in("element elsewhere", "tcp . 30000 : goto svc-0", "tcp . 30000 : goto svc-1", "web"),
		in("element of the wrong protocol", "sctp . 30002 : goto", "tcp . 30002 : goto", "fall through"),
		in("missing element", "sctp . 30002 : goto svc-2", "sctp . 30003 : goto svc-2", "fall through"),
		in("extra NodePort", "tcp . 30000 : goto svc-0", "tcp . 30000 : goto svc-0, tcp . 31000 : goto svc-0", "tcp/31000"),
		in("skipped is steered", "tcp . 30000 : goto svc-0", "tcp . 30000 : goto svc-0, tcp . 30100 : goto svc-0", "should have none"),
		in("a range of NodePorts", "chain services {", "chain services {\n\t\tip daddr @nodeport-ips tcp dport 31000-31999 goto svc-0", "31000-31999"),
		in("another address", "10.34.4.141 timeout 60s", "10.34.4.141 timeout 60s, 10.34.4.142 timeout 60s", "10.34.4.142"),
		in("no address match", "ip daddr @nodeport-ips meta l4proto . th dport", "meta l4proto . th dport", "none of the state's"),
		in("missing address", "10.34.4.141 timeout 60s", "10.34.4.142 timeout 60s", "fall through"),
		in("masquerading of TCP lost", "meta l4proto tcp ct original proto-dst @tcp-nodeports masquerade", "meta l4proto tcp ct original proto-dst @sctp-nodeports masquerade", "not masqueraded"),
		in("masquerading of everything", "chain postrouting {\n\t\ttype nat hook postrouting priority 90; policy accept;\n", "chain postrouting {\n\t\ttype nat hook postrouting priority 90; policy accept;\n\t\tmasquerade\n", "not translated"),
		in("masquerading of other translations", "chain postrouting {\n\t\ttype nat hook postrouting priority 90; policy accept;\n", "chain postrouting {\n\t\ttype nat hook postrouting priority 90; policy accept;\n\t\tct status dnat masquerade\n", "somebody else translated"),
		in("masquerading of the same port elsewhere", "ct original ip daddr @nodeport-ips meta l4proto tcp", "meta l4proto tcp", "somebody else translated"),
		in("masquerading behind kube-proxy", "hook postrouting priority 90", "hook postrouting priority 110", "not before kube-proxy"),
		in("dependence on the source", "chain services {", "chain services {\n\t\tip saddr 192.0.2.0/24 accept", "source in 192.0.2.0-192.0.2.255"),
		in("dependence on the interface", "chain services {", "chain services {\n\t\tiifname \"eth7\" accept", "iifname"),
		in("dependence on the mark", "chain services {", "chain services {\n\t\tmeta mark & 0x4000 == 0x4000 accept", "mark"),
		in("limit", "chain services {", "chain services {\n\t\tlimit rate over 5/second drop", "limit"),
		in("redirect", "chain services {", "chain services {\n\t\ttcp dport 30000 ip daddr @nodeport-ips redirect", "redirected"),
		in("return before", "chain services {", "chain services {\n\t\tudp dport 30000 return", "dns"),
		in("other shape of one chain", "meta l4proto sctp dnat ip to numgen", "meta l4proto udp dnat ip to numgen", "riset/one"),
		ca("last rule lost", "\t\tmeta l4proto tcp dnat to 10.42.5.169:8081\n", "", "fall through"),
		ca("wrong left", "numgen random mod 50 < 25", "numgen random mod 75 < 25", "another share"),
		ca("rules in the wrong order", "numgen random mod 100 < 50 meta l4proto tcp dnat to 10.42.4.201:8080\n", "meta l4proto tcp dnat to 10.42.4.201:8080\n", "another share"),
		ca("at most instead of below", "numgen random mod 100 < 50", "numgen random mod 100 <= 53", "another share"),
		{"unknown expression", inline, "chain services {", "chain services {\n\t\trt classid 5 accept", "rt", true},
		{"socket", inline, "chain services {", "chain services {\n\t\tsocket transparent 1 accept", "socket", true},
		{"dynamic set", inline, "chain services {", "set seen { type ipv4_addr; flags dynamic; }\n\tchain services {\n\t\tadd @seen { ip saddr } accept", "fall through", false},
		{"written port", inline, "chain services {", "chain services {\n\t\ttcp dport set 80", "payload write", true},
		{"several addresses", cascade, "dnat to 10.42.4.202:8080", "dnat to 10.42.4.202-10.42.4.203:8080", "not one address", true},
		{"hash of what is fixed", inline, "numgen random mod 100 map " + map0, "jhash ip daddr mod 100 seed 1 map " + map0, "jhash", true},
	}
}

// TestWrongRulesetsAreFound: each ruleset is accepted by nft and loaded, and each
// must be found wrong for the right reason.
func TestWrongRulesetsAreFound(t *testing.T) {
	for _, test := range wrongs() {
		t.Run(test.name, func(t *testing.T) {
			st := example()
			text := ruleset(st, test.shape, verify.MasqueradeAll)
			changed := strings.Replace(text, test.old, test.new, 1)
			if changed == text {
				t.Fatalf("%q is not in\n%s", test.old, text)
			}
			ns := labtest.Scratch(t)
			load(t, ns, changed)
			report := verify.Check(read(t, ns), st, verify.Want{})
			found := report.String()
			if test.unknown && len(report.Unknown) == 0 || !test.unknown && len(report.Differs) == 0 || !strings.Contains(found, test.want) {
				t.Errorf("want a finding with %q, got\n%s", test.want, found)
			}
		})
	}
}

// TestExpiredHeartbeatIsFound: once the element of nodeport-ips is over, nothing
// is served any more.
func TestExpiredHeartbeatIsFound(t *testing.T) {
	st := even(3)
	ns := labtest.Scratch(t)
	load(t, ns, strings.Replace(ruleset(st, uniform, verify.MasqueradeAll), "timeout 60s", "timeout 1s", 1))
	rs := read(t, ns)
	if r := verify.Check(rs, st, verify.Want{}); !r.OK() {
		t.Fatalf("before it expired: %v", r)
	}
	time.Sleep(1100 * time.Millisecond)
	if r := verify.Check(read(t, ns), st, verify.Want{}); r.OK() || !strings.Contains(r.String(), "fall through") {
		t.Errorf("after it expired: %v", r)
	}
}

func TestMissingTableIsFound(t *testing.T) {
	ns := labtest.Scratch(t)
	r := verify.Check(read(t, ns), example(), verify.Want{})
	// the skipped ServicePort is as it should be
	if r.Proven != 1 || len(r.Differs) == 0 {
		t.Errorf("report of an empty kernel = %v", r)
	}
}

func TestDormantTableIsFound(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, strings.Replace(ruleset(even(2), uniform, verify.MasqueradeAll), "table ip weft {", "table ip weft {\n\tflags dormant", 1))
	if r := verify.Check(read(t, ns), even(2), verify.Want{}); r.OK() {
		t.Errorf("report of a dormant table = %v", r)
	}
}

// TestHairpinOfRemoteMode: without masquerading, an endpoint here that connects
// to its own NodePort never gets an answer.
func TestHairpinOfRemoteMode(t *testing.T) {
	st := example()
	text := ruleset(st, inline, verify.MasqueradeRemote)
	changed := strings.Replace(text, "ip saddr @local-endpoints masquerade", "ip saddr @local-endpoints counter", 1)
	ns := labtest.Scratch(t)
	load(t, ns, changed)
	r := verify.Check(read(t, ns), st, verify.Want{Masquerade: verify.MasqueradeRemote})
	if changed == text || !strings.Contains(r.String(), "riset/web tcp/30000 at 10.34.4.141, postrouting") {
		t.Errorf("report = %v", r)
	}
}
