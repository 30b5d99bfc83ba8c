package ruleset

import (
	"fmt"
	"strings"
	"testing"
)

// A whole NodePort range: see design.md.
const (
	nodePorts = 2768
	endpoints = 10
)

// large writes a ruleset of the whole NodePort range, by what writes the rules
// of one chain.
func large(rules func(b *strings.Builder, n int)) string {
	var b strings.Builder
	b.WriteString("table ip weft {\n\tset nodeport-ips {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t\telements = { 10.34.4.141 timeout 60s }\n\t}\n\n")
	b.WriteString("\tmap service-nodeports {\n\t\ttype inet_proto . inet_service : verdict\n\t\telements = {\n")
	for n := range nodePorts {
		fmt.Fprintf(&b, "\t\t\ttcp . %d comment \"riset/service-%d\" : goto svc-%08d-riset/service-%d/tcp/http,\n", 30000+n, n, n, n)
	}
	b.WriteString("\t\t}\n\t}\n\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -150; policy accept;\n")
	b.WriteString("\t\tip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports\n\t}\n")
	for n := range nodePorts {
		fmt.Fprintf(&b, "\n\tchain svc-%08d-riset/service-%d/tcp/http {\n", n, n)
		rules(&b, n)
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func inline(b *strings.Builder, n int) {
	b.WriteString("\t\tmeta l4proto tcp dnat ip to numgen random mod 100 map { ")
	for e := range endpoints {
		fmt.Fprintf(b, "%d-%d : 10.%d.%d.%d . 8080, ", e*10, e*10+9, n>>8, n&255, e)
	}
	b.WriteString("}\n")
}

func cascade(b *strings.Builder, n int) {
	for e := range endpoints - 1 {
		fmt.Fprintf(b, "\t\tnumgen random mod %d < 10 meta l4proto tcp dnat to 10.%d.%d.%d:8080 comment \"10%%\"\n", 100-10*e, n>>8, n&255, e)
	}
	fmt.Fprintf(b, "\t\tmeta l4proto tcp dnat to 10.%d.%d.%d:8080 comment \"10%%\"\n", n>>8, n&255, endpoints-1)
}

func BenchmarkParse(b *testing.B) {
	for name, rules := range map[string]func(*strings.Builder, int){"inline": inline, "cascade": cascade} {
		text := large(rules)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLint(b *testing.B) {
	for name, rules := range map[string]func(*strings.Builder, int){"inline": inline, "cascade": cascade} {
		text := large(rules)
		rs, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if f := Lint(rs, Options{Table: "weft"}); len(f) > 0 {
					b.Fatal(f)
				}
			}
		})
	}
}
