// Package preflight finds out whether weft can work on this node before it is
// asked to, and says what to do where it cannot.
//
// It tries rather than guesses: each nftables feature that weft's rules use is
// loaded by itself into a network namespace made for the purpose, so that the
// one that is missing has a name. A list of kernel versions would be wrong for
// every distribution that ports features back, and nft's answer to a whole
// ruleset names a line and not a reason.
//
// Of other programs' tables only the chains are looked at, with their hook,
// priority and policy, never the rules in them. So what it says about those is
// a warning: a chain that drops by policy may still accept what matters.
//
// Nothing is changed, and everything is about the network namespace of the
// calling thread.
package preflight

import (
	"context"
	"fmt"

	"weft/render/nft"
)

// Level says how bad a finding is.
type Level int

// The levels, from good to bad. With an Error weft cannot work; with a Warning
// it may not do what is expected.
const (
	OK Level = iota
	Warning
	Error
)

var levelNames = [...]string{"ok", "warning", "error"}

func (l Level) String() string { return levelNames[l] }

// MarshalText makes JSON and YAML hold the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is what one check found.
type Finding struct {
	// Check names the check.
	Check string `json:"check" yaml:"check"`
	Level Level  `json:"level" yaml:"level"`
	// Found is what there is.
	Found string `json:"found" yaml:"found"`
	// Advice is what to do about it, in one sentence; empty if nothing.
	Advice string `json:"advice,omitempty" yaml:"advice,omitempty"`
}

// Options say what weft is going to do on the node.
type Options struct {
	Runner nft.Runner
	// Table is the name of weft's own tables, which no check complains about.
	Table string
	// Priority is that of the chains that translate.
	Priority int
	// IPv4 and IPv6 tell in which families the node takes NodePort traffic.
	// Neither means that this is not known yet.
	IPv4, IPv6 bool
}

// Run makes all checks, in a fixed order. What a check cannot find out is a
// finding too.
func Run(ctx context.Context, opts Options) []Finding {
	findings := []Finding{capabilities()}
	version := nftVersion(ctx, opts.Runner)
	findings = append(findings, version)
	if version.Level != Error {
		findings = append(findings, features(ctx, opts)...)
	}
	findings = append(findings, forwarding(opts)...)
	chains, err := readChains(ctx)
	if err != nil {
		findings = append(findings, Finding{"base chains", Warning, err.Error(), "Run the check as root, or with CAP_NET_ADMIN."})
	} else {
		findings = append(findings, forwardPolicy(chains, opts)...)
		findings = append(findings, natChains(chains, opts)...)
	}
	findings = append(findings, conntrackTable())
	return append(findings, proxies(chains)...)
}

// Worst is the level of the worst finding.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// oldest is the oldest nft that weft's rules were tried with.
var oldest = [3]int{1, 0, 6}

func nftVersion(ctx context.Context, runner nft.Runner) Finding {
	const check = "nft"
	v, err := runner.Version(ctx)
	if err != nil {
		return Finding{check, Error, err.Error(), "Install the package nftables, or name the program with --nft."}
	}
	found := fmt.Sprintf("version %d.%d.%d", v[0], v[1], v[2])
	if less(v, oldest) {
		return Finding{check, Error, found, fmt.Sprintf("Install nft %d.%d.%d or later: older ones misread some of weft's rules.", oldest[0], oldest[1], oldest[2])}
	}
	return Finding{check, OK, found, ""}
}

func less(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
