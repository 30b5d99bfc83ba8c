package ruleset

import (
	"fmt"
	"slices"
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
func large(rules func(b *strings.Builder, n int)) string { return strings.Join(largeParts(rules), "") }

// largeParts is large in the parts that a renderer gives: a part for what stands
// anywhere for one ServicePort.
func largeParts(rules func(b *strings.Builder, n int)) []string {
	parts := []string{"table ip weft {\n\tset nodeport-ips {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t\telements = { 10.34.4.141 timeout 60s }\n\t}\n\n" +
		"\tmap service-nodeports {\n\t\ttype inet_proto . inet_service : verdict\n\t\telements = {"}
	for n := range nodePorts {
		parts = append(parts, fmt.Sprintf("\n\t\t\ttcp . %d comment \"riset/service-%d\" : goto svc-%08d-riset/service-%d/tcp/http,", 30000+n, n, n, n))
	}
	parts = append(parts, "\n\t\t}\n\t}\n\n\tset tcp-nodeports {\n\t\ttype inet_service\n\t\telements = {")
	for n := range nodePorts {
		parts = append(parts, fmt.Sprintf("\n\t\t\t%d,", 30000+n))
	}
	parts = append(parts, "\n\t\t}\n\t}\n\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -150; policy accept;\n"+
		"\t\tip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports\n\t}\n")
	for n := range nodePorts {
		var b strings.Builder
		fmt.Fprintf(&b, "\tchain svc-%08d-riset/service-%d/tcp/http {\n", n, n)
		rules(&b, n)
		b.WriteString("\t}\n")
		parts = append(parts, "\n", b.String())
	}
	return append(parts, "}\n")
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

// versions are the parts of one large ruleset and of another that differs in one
// ServicePort: in an endpoint, or in being there.
func versions(rules func(*strings.Builder, int)) map[string][2][]string {
	parts := largeParts(rules)
	endpoint := slices.Clone(parts)
	for i, part := range endpoint {
		endpoint[i] = strings.Replace(part, "10.3.232.4", "10.3.232.77", 1)
	}
	var without []string
	for _, part := range parts {
		if !strings.Contains(part, "service-1000/") && part != "\n\t\t\t31000," {
			without = append(without, part)
		}
	}
	return map[string][2][]string{"endpoint": {parts, endpoint}, "ServicePort": {parts, without}}
}

func eachVersion(b *testing.B, f func(b *testing.B, texts [2][]string)) {
	for name, rules := range map[string]func(*strings.Builder, int){"inline": inline, "cascade": cascade} {
		for change, texts := range versions(rules) {
			b.Run(name+"/"+change, func(b *testing.B) {
				b.ReportAllocs()
				f(b, texts)
			})
		}
	}
}

// BenchmarkParser is a text of which one ServicePort changed.
func BenchmarkParser(b *testing.B) {
	eachVersion(b, func(b *testing.B, texts [2][]string) {
		var p Parser
		for i := 0; b.Loop(); i++ {
			if _, err := p.Parse(texts[i%2]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDiff is the difference of two rulesets that share what is the same.
func BenchmarkDiff(b *testing.B) {
	eachVersion(b, func(b *testing.B, texts [2][]string) {
		var p Parser
		var rs [2]*Ruleset
		for i := range rs {
			var err error
			if rs[i], err = p.Parse(texts[i]); err != nil {
				b.Fatal(err)
			}
		}
		for i := 0; b.Loop(); i++ {
			if Diff(rs[i%2], rs[(i+1)%2]).Empty() {
				b.Fatal("no difference")
			}
		}
	})
}

// BenchmarkLinter is the judgement of a ruleset of which one ServicePort changed.
func BenchmarkLinter(b *testing.B) {
	eachVersion(b, func(b *testing.B, texts [2][]string) {
		var p Parser
		var l Linter
		var rs [2]*Ruleset
		for i := range rs {
			var err error
			if rs[i], err = p.Parse(texts[i]); err != nil {
				b.Fatal(err)
			}
		}
		for i := 0; b.Loop(); i++ {
			if f := l.Lint(rs[i%2], Options{Table: "weft"}); len(f) > 0 {
				b.Fatal(f)
			}
		}
	})
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
