package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"weft/render/nft"
)

// feature is something that rules need of the kernel, with the least ruleset
// that has it. %s stands for the address family.
type feature struct {
	name string
	text string
	// level is how bad it is to be without, and advice what to do then.
	level  Level
	advice string
}

const otherKernel = "Use a kernel with this part of nf_tables, which may be in a package of further modules."

// list returns the features of weft's own rules, and then those that only some
// template sets use.
func list() []feature {
	nat := func(body string) string {
		return "table %[1]s try {\n\tchain c {\n\t\ttype nat hook prerouting priority -150; policy accept;\n\t\t" + body + "\n\t}\n}\n"
	}
	post := func(body string) string {
		return "table %[1]s try {\n\tchain c {\n\t\ttype nat hook postrouting priority 90; policy accept;\n\t\t" + body + "\n\t}\n}\n"
	}
	return []feature{
		{"nat chains", nat("meta l4proto tcp dnat to %[2]s:80") + "table %[1]s try {\n\tchain o {\n\t\ttype nat hook output priority -150; policy accept;\n\t}\n}\n", Error, otherKernel},
		{"sets with timeouts", "table %[1]s try {\n\tset s {\n\t\ttype %[3]s\n\t\tflags timeout\n\t\telements = { %[4]s timeout 60s }\n\t}\n}\n", Error, otherKernel},
		{"verdict maps of protocol and port", "table %[1]s try {\n\tmap m {\n\t\ttype inet_proto . inet_service : verdict\n\t\telements = { tcp . 30000 : goto t }\n\t}\n\tchain t {\n\t}\n\tchain c {\n\t\tmeta l4proto . th dport vmap @m\n\t}\n}\n", Error, otherKernel},
		{"random numbers (numgen)", nat("numgen random mod 100 < 50 meta l4proto tcp dnat to %[2]s:80"), Error, otherKernel},
		{"masquerade fully-random", post("masquerade fully-random"), Error, otherKernel},
		{"conntrack's original address and port", post("ct status dnat ct original %[1]s daddr %[4]s meta l4proto tcp ct original proto-dst 30000 accept"), Error, otherKernel},
		{"maps from numgen to address and port", nat("meta l4proto tcp dnat %[1]s to numgen random mod 100 map { 0-49 : %[4]s . 80, 50-99 : %[4]s . 81 }"), Warning, "Use the template set cascade, which needs no such map."},
		{"fib", nat("fib daddr type local accept"), Warning, "Use no fib expression in templates of your own; the shipped sets have none."},
		{"hashes of addresses (jhash)", nat("meta l4proto tcp dnat to jhash %[1]s saddr mod 2 map { 0 : %[4]s, 1 : %[4]s }"), Warning, "Leave the var affinity at its default, and use neither the template set sticky nor jhash in templates of your own: the shipped sets have none else."},
	}
}

// try loads the feature into the calling thread's namespace and takes it out.
func (f feature) try(ctx context.Context, runner nft.Runner, family string) error {
	host, kind, address := "192.0.2.1", "ipv4_addr", "192.0.2.1"
	if family == "ip6" {
		host, kind, address = "[2001:db8::1]", "ipv6_addr", "2001:db8::1"
	}
	text := strings.NewReplacer("%[1]s", family, "%[2]s", host, "%[3]s", kind, "%[4]s", address).Replace(f.text)
	if err := runner.Load(ctx, text); err != nil {
		return err
	}
	return runner.Load(ctx, "delete table "+family+" try\n")
}

// features tries everything for each family. Where the families are not known,
// IPv6 is of no more weight than a warning.
func features(ctx context.Context, opts Options) []Finding {
	findings := []Finding{}
	err := nft.InScratch(func() error {
		if opts.IPv4 || !opts.IPv6 {
			findings = append(findings, familyFeatures(ctx, opts.Runner, "ip", Error)...)
		}
		switch {
		case opts.IPv6:
			findings = append(findings, familyFeatures(ctx, opts.Runner, "ip6", Error)...)
		case !opts.IPv4:
			findings = append(findings, familyFeatures(ctx, opts.Runner, "ip6", Warning)...)
		}
		return ctx.Err()
	})
	if err != nil {
		return []Finding{{"kernel features", Warning, err.Error(), "Run the check as root to try the kernel's features."}}
	}
	return findings
}

// familyFeatures has a finding for each feature that is missing, or one that
// says that none is.
func familyFeatures(ctx context.Context, runner nft.Runner, family string, most Level) []Finding {
	check := "kernel features (" + family + ")"
	var findings []Finding
	for _, f := range list() {
		if err := f.try(ctx, runner, family); err != nil {
			findings = append(findings, Finding{check, min(f.level, most), f.name + ": " + reason(err), f.advice})
		}
	}
	if findings == nil {
		return []Finding{{check, OK, fmt.Sprintf("all %d are there", len(list())), ""}}
	}
	return findings
}

// reason is what nft said, without the lines of text that it repeats.
func reason(err error) string {
	var refused *nft.Error
	if errors.As(err, &refused) && len(refused.Messages) > 0 {
		return refused.Messages[0].Text
	}
	return err.Error()
}
