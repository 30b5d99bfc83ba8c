package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weft/render/apply"
	"weft/render/nft"
	"weft/render/verify"
	"weft/state"
)

// kernelRules are the rules that the kernel holds: to be walked, and as nft writes
// them.
type kernelRules struct {
	*verify.Ruleset
	texts map[ruleID]string
}

// ruleID is a rule of a table: family and name of the table, and the handle.
type ruleID struct {
	table  string
	handle uint64
}

func (p *program) kernelRules(ctx context.Context, table string, vars *varFlags) (*kernelRules, error) {
	in, err := p.inputs(vars)
	if err != nil {
		return nil, err
	}
	rs, err := apply.ReadBack(ctx, table)
	if err != nil {
		return nil, err
	}
	texts, err := ruleTexts(ctx, nft.Runner{Path: in.config.Nft}, table)
	return &kernelRules{rs, texts}, err
}

var handlePattern = regexp.MustCompile(`(?m)^\t\t(.*) # handle (\d+)$`)

func ruleTexts(ctx context.Context, runner nft.Runner, table string) (map[ruleID]string, error) {
	texts := map[ruleID]string{}
	for _, family := range apply.Families() {
		text, err := runner.ListHandles(ctx, family, table)
		if errors.Is(err, nft.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, m := range handlePattern.FindAllStringSubmatch(text, -1) {
			handle, err := strconv.ParseUint(m[2], 10, 64)
			if err == nil {
				texts[ruleID{family + " " + table, handle}] = m[1]
			}
		}
	}
	return texts, nil
}

// step is a rule on the way: where it is, what it says and, where it does not say
// so, where it sends the packet.
func (k *kernelRules) step(s verify.Step) string {
	text := k.texts[ruleID{s.Table.String(), s.Handle}]
	verdict := strings.ReplaceAll(s.Verdict, "-> ", "")
	switch {
	case text == "":
		return where(s) + ": " + verdict
	case strings.Contains(text, verdict), strings.HasPrefix(verdict, "dnat"): // the end says to where
		return where(s) + ": " + text
	}
	return where(s) + ": " + text + "  (" + verdict + ")"
}

// explainKernel shows what the kernel does with a new packet from outside.
func (p *program) explainKernel(k *kernelRules, sp *state.ServicePort, address netip.Addr) error {
	to := netip.AddrPortFrom(address, sp.NodePort)
	outcome, err := k.Trace(verify.Prerouting, verify.Packet{Protocol: sp.Protocol, Destination: to, Local: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "  kernel, a new packet to %s:\n", to)
	for _, class := range outcome.Classes {
		if len(class.Conditions) > 0 {
			fmt.Fprintf(p.stdout, "    when %s:\n", strings.Join(class.Conditions, " and "))
		}
		p.explainClass(k, class)
	}
	return p.explainSource(k, sp, to, outcome)
}

// explainClass shows first the way that all packets of a class have in common, then
// where they part, with the rule that sends each part on.
func (p *program) explainClass(k *kernelRules, class verify.Class) {
	paths := make([][]verify.Step, len(class.Ends))
	for i, end := range class.Ends {
		paths[i] = end.Path()
	}
	common := commonSteps(paths)
	for _, step := range common {
		fmt.Fprintf(p.stdout, "    %s\n", k.step(step))
	}
	for i, end := range class.Ends {
		line := fmt.Sprintf("    %-32s", end)
		for _, step := range paths[i][len(common):] {
			line += "  " + k.step(step)
		}
		fmt.Fprintln(p.stdout, strings.TrimRight(line, " "))
	}
}

// explainSource shows what becomes of the source of packets that were translated,
// once for all endpoints with the same.
func (p *program) explainSource(k *kernelRules, sp *state.ServicePort, to netip.AddrPort, outcome verify.Outcome) error {
	var texts []string
	endpoints := map[string][]string{}
	for _, class := range outcome.Classes {
		for _, end := range class.Ends {
			if end.Kind != verify.Translated {
				continue
			}
			behind, err := k.Trace(verify.Postrouting, verify.Packet{Protocol: sp.Protocol, Destination: end.To, Original: to})
			if err != nil {
				return err
			}
			text := strings.Join(k.sources(behind), "\n")
			if endpoints[text] == nil {
				texts = append(texts, text)
			}
			endpoints[text] = append(endpoints[text], end.To.String())
		}
	}
	for _, text := range texts {
		who := "the source"
		if len(texts) > 1 {
			who += " of those to " + strings.Join(slices.Compact(endpoints[text]), ", ")
		}
		for line := range strings.Lines(text) {
			fmt.Fprintf(p.stdout, "    %s%s\n", who, strings.TrimRight(line, "\n"))
		}
	}
	return nil
}

func (k *kernelRules) sources(behind verify.Outcome) (lines []string) {
	for _, class := range behind.Classes {
		when := ""
		if len(class.Conditions) > 0 {
			when = " when " + strings.Join(class.Conditions, " and ")
		}
		for _, end := range class.Ends {
			switch path := end.Path(); {
			case end.Kind == verify.Through && !end.Masqueraded:
				lines = append(lines, " stays"+when)
			case len(path) > 0:
				lines = append(lines, fmt.Sprintf("%s: %s", when, k.step(path[len(path)-1])))
			}
		}
	}
	return lines
}

// commonSteps are those that all paths begin with.
func commonSteps(paths [][]verify.Step) []verify.Step {
	if len(paths) == 0 {
		return nil
	}
	common := paths[0]
	for _, path := range paths[1:] {
		n := 0
		for n < min(len(common), len(path)) && sameRule(common[n], path[n]) {
			n++
		}
		common = common[:n]
	}
	return common
}

// where names a rule, or the policy of a chain.
func where(step verify.Step) string {
	if step.Handle == 0 {
		return fmt.Sprintf("%s, chain %s, policy", step.Table, step.Chain)
	}
	return fmt.Sprintf("%s, chain %s, rule %d", step.Table, step.Chain, step.Handle)
}

// sameRule reports whether two steps are the same rule, or the same policy.
func sameRule(a, b verify.Step) bool {
	return a.Table == b.Table && a.Chain == b.Chain && a.Handle == b.Handle && (a.Handle != 0 || a.Verdict == b.Verdict)
}
