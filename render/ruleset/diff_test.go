package ruleset

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	base := goldens(t)["facts"]
	edit := func(from, to string) string {
		if !strings.Contains(base, from) {
			t.Fatalf("no %q to edit", from)
		}
		return strings.Replace(base, from, to, 1)
	}
	for _, c := range []struct{ name, to, want string }{
		{"nothing", base, ""},
		{"white space and comments", strings.ReplaceAll(base, "\t", "  # x\n  "), ""},
		{"an element", edit("elements = { 10.34.4.141 }", "elements = { 10.34.4.141, 10.34.4.142 }"), "add element ip weft nodeport-ips { 10.34.4.142 }\n"},
		{"what is left of a timeout", edit("tcp . 30000 timeout 120s", "tcp . 30000 timeout 120s expires 7s"), ""},
		{"a rule", edit("mod 1000 map { 0-999 : 10.42.1.10 . 8080 }", "mod 1000 map { 0-999 : 10.42.1.11 . 8080 }"), "flush chain ip weft svc-AAAAAAAA-riset/dns/udp/dns\n" +
			"table ip weft {\n\tchain svc-AAAAAAAA-riset/dns/udp/dns {\n\t\tmeta l4proto udp dnat ip to numgen random mod 1000 map { 0-999 : 10.42.1.11 . 8080 }\n\t}\n}\n"},
		{
			"a rule behind", edit("\t\tip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports\n", "\t\tip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports\n\t\treturn\n"),
			"table ip weft {\n\tchain services {\n\t\treturn\n\t}\n}\n",
		},
		{
			"two rules before", edit("\tchain services {\n", "\tchain services {\n\t\tip saddr 10.0.0.1 return\n\t\tip saddr 10.0.0.2 return\n"),
			"insert rule ip weft services ip saddr 10.0.0.2 return\ninsert rule ip weft services ip saddr 10.0.0.1 return\n",
		},
		{
			"a value", edit("goto svc-AAAAAAAA-riset/dns/udp/dns,", "goto services,"),
			"add element ip weft service-nodeports { udp . 30000 timeout 120s comment \"riset/dns\" : goto svc-AAAAAAAA-riset/dns/udp/dns }\n" +
				"delete element ip weft service-nodeports { udp . 30000 }\n" +
				"add element ip weft service-nodeports { udp . 30000 timeout 120s comment \"riset/dns\" : goto services }\n",
		},
		{
			"a policy", edit("type nat hook prerouting priority -150; policy accept;", "type nat hook prerouting priority -150; policy drop;"),
			"table ip weft {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -150; policy drop;\n\t}\n}\n",
		},
		{
			"a priority", edit("type nat hook prerouting priority -150; policy accept;", "type nat hook prerouting priority -151; policy accept;"),
			"delete chain ip weft prerouting\ntable ip weft {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -151; policy accept;\n\t\tjump services\n\t}\n}\n",
		},
		{"a chain in blocks", base + "table ip weft {\n\tchain services {\n\t\treturn\n\t}\n}\n", "table ip weft {\n\tchain services {\n\t\treturn\n\t}\n}\n"},
		{"no table", "", "delete table ip weft\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, err := Parse(base)
			if err != nil {
				t.Fatal(err)
			}
			to, err := Parse(c.to)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(c.want, Diff(from, to).Text()); d != "" {
				t.Error(d)
			}
		})
	}
}
