package ruleset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

// drawRuleset draws a small ruleset of the shapes that templates write.
func drawRuleset(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("table ip weft {\n")
	services := rapid.SliceOfNDistinct(rapid.IntRange(0, 4), 0, 4, rapid.ID[int]).Draw(t, "services")
	if rapid.IntRange(0, 9).Draw(t, "comment") == 0 {
		b.WriteString("comment \"odd\"\n")
	}
	b.WriteString("set ips {\ntype ipv4_addr\n")
	if n := rapid.IntRange(0, 2).Draw(t, "addresses"); n > 0 {
		fmt.Fprintf(&b, "elements = { 10.0.0.%d }\n", n)
	}
	b.WriteString("}\nmap services {\ntype inet_proto . inet_service : verdict\n")
	if len(services) > 0 {
		b.WriteString("elements = {\n")
		for _, n := range services {
			fmt.Fprintf(&b, "tcp . %d comment \"%d\" : goto svc-%d,\n", 30000+n, rapid.IntRange(0, 1).Draw(t, "note"), n)
		}
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	priority := rapid.SampledFrom([]int{-150, -150, -150, -149}).Draw(t, "priority")
	fmt.Fprintf(&b, "chain p {\ntype nat hook prerouting priority %d; policy accept;\nip daddr @ips meta l4proto . th dport vmap @services\n}\n", priority)
	for _, n := range services {
		fmt.Fprintf(&b, "chain svc-%d {\n", n)
		if rapid.Bool().Draw(t, "jump") {
			fmt.Fprintf(&b, "jump deep-%d\n", n)
		}
		split := rapid.IntRange(1, 98).Draw(t, "split")
		fmt.Fprintf(&b, "meta l4proto tcp dnat ip to numgen random mod 100 map { 0-%d : 10.1.0.1 . 80, %d-99 : 10.1.0.2 . 80 }\n}\nchain deep-%d {\n}\n", split, split+1, n)
	}
	b.WriteString("}\n")
	return b.String()
}

// listing gives what the kernel holds, in an order of its own.
func listing(t *rapid.T, ns *lab.Namespace) *Ruleset {
	out, err := ns.Run("nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	rs, err := Parse(string(out))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range rs.Tables {
		slices.SortFunc(table.Chains, func(a, b *Chain) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(table.Sets, func(a, b *Set) int { return cmp.Compare(a.Name, b.Name) })
		for _, s := range table.Sets {
			slices.SortFunc(s.Elements, func(a, b *Element) int { return cmp.Compare(a.Text, b.Text) })
		}
	}
	return rs
}

func run(t *rapid.T, ns *lab.Namespace, text string) {
	if text == "" {
		return
	}
	if _, err := ns.Run("nft", text); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// TestKernelDiff: the difference of two rulesets, applied to a kernel that
// holds the first, gives what loading the second gives.
func TestKernelDiff(t *testing.T) {
	ns := labtest.Scratch(t)
	rapid.Check(t, func(t *rapid.T) {
		first, second := drawRuleset(t), drawRuleset(t)
		from, err := Parse(first)
		if err != nil {
			t.Fatal(err)
		}
		to, err := Parse(second)
		if err != nil {
			t.Fatal(err)
		}
		run(t, ns, "flush ruleset\n"+second)
		want := listing(t, ns)
		run(t, ns, "flush ruleset\n"+first)
		run(t, ns, Diff(from, to).Text())
		if d := gocmp.Diff(want, listing(t, ns), sameText); d != "" {
			t.Fatalf("%s\nfrom\n%sby\n%s", d, first, Diff(from, to).Text())
		}
	})
}

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
