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
