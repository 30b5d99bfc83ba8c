package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft/render"
	"weft/render/apply"
	"weft/render/verify"
	"weft/state"
)

func (p *program) explainCommand() *cobra.Command {
	var vars varFlags
	cmd := &cobra.Command{
		Use:     "explain SERVICE|NODEPORT",
		Short:   "Show how a NodePort is served, from the state to the kernel",
		Long:    "Show the record of the state, the template lines that write its rules, and the\npath of a new packet through the rules that the kernel holds.",
		Example: "  weft explain tcp/30000\n  weft explain riset/hellopod-np-svc",
		Args:    exactly(1, "a Service such as riset/hellopod-np-svc, one port of it such as riset/hellopod-np-svc:http, or a NodePort such as tcp/30000"),
		RunE: func(cmd *cobra.Command, args []string) error {
			desired, err := p.desire(cmd, &vars)
			if err != nil {
				return err
			}
			found := find(desired.State, args[0])
			if len(found) == 0 {
				return fmt.Errorf("the state file has no ServicePort %s", args[0])
			}
			rs, err := apply.ReadBack(cmd.Context(), desired.Table)
			if err != nil {
				return err
			}
			for _, sp := range found {
				if err := p.explain(desired, rs, sp); err != nil {
					return err
				}
			}
			return nil
		},
	}
	vars.add(cmd)
	return cmd
}

// find takes namespace/name, namespace/name:port, protocol/nodePort, or the name or
// the nodePort alone.
func find(st *state.State, name string) []*state.ServicePort {
	var found []*state.ServicePort
	for _, sp := range st.ServicePorts {
		nodePort := strconv.Itoa(int(sp.NodePort))
		if slices.Contains([]string{sp.ID(), sp.Namespace + "/" + sp.Name, sp.Name, string(sp.Protocol) + "/" + nodePort, nodePort}, name) {
			found = append(found, sp)
		}
	}
	return found
}

func (p *program) explain(desired *apply.Desired, rs *verify.Ruleset, sp *state.ServicePort) error {
	fmt.Fprintf(p.stdout, "%s, %s/%d\n", sp.ID(), sp.Protocol, sp.NodePort)
	if !sp.Steered() {
		fmt.Fprintf(p.stdout, "  left to kube-proxy: %s\n", sp.Skipped)
		return nil
	}
	fmt.Fprintln(p.stdout, "  state:")
	for _, e := range sp.Endpoints {
		fmt.Fprintf(p.stdout, "    %-24s %6.4g%%  on %s\n", e.AddrPort(), e.Share*100, e.Node)
	}
	if err := p.explainShares(desired.State, sp, time.Now()); err != nil {
		return err
	}
	p.explainTemplates(desired.Result, sp)
	for _, address := range desired.State.Addresses {
		if err := p.explainKernel(rs, sp, address); err != nil {
			return err
		}
	}
	return nil
}

// explainTemplates shows the rendered lines of the ServicePort.
func (p *program) explainTemplates(result *render.Result, sp *state.ServicePort) {
	fmt.Fprintf(p.stdout, "  templates (set %s):\n", result.Set)
	for i, line := range strings.Split(result.Text(), "\n") {
		if origin := result.Origin(i + 1); origin.ServicePort == sp && strings.Trim(line, " \t}") != "" {
			fmt.Fprintf(p.stdout, "    %s:%d: %s\n", origin.File, origin.Line, strings.TrimSpace(line))
		}
	}
}

// explainKernel shows what the kernel does with a new packet from outside.
func (p *program) explainKernel(rs *verify.Ruleset, sp *state.ServicePort, address netip.Addr) error {
	to := netip.AddrPortFrom(address, sp.NodePort)
	outcome, err := rs.Trace(verify.Prerouting, verify.Packet{Protocol: sp.Protocol, Destination: to, Local: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "  kernel, a new packet to %s:\n", to)
	for _, class := range outcome.Classes {
		if len(class.Conditions) > 0 {
			fmt.Fprintf(p.stdout, "    when %s:\n", strings.Join(class.Conditions, " and "))
		}
		p.explainClass(class)
	}
	return nil
}

// explainClass shows first the way that all packets of a class have in common, then
// where they part, with the rule that sends each part on.
func (p *program) explainClass(class verify.Class) {
	paths := make([][]verify.Step, len(class.Ends))
	for i, end := range class.Ends {
		paths[i] = end.Path()
	}
	common := commonSteps(paths)
	for _, step := range common {
		fmt.Fprintf(p.stdout, "    %s: %s\n", where(step), step.Verdict)
	}
	for i, end := range class.Ends {
		rest := paths[i][len(common):]
		line := fmt.Sprintf("    %-32s", end)
		for _, step := range rest {
			if at := len(common); at > 0 && strings.HasSuffix(common[at-1].Verdict, " "+step.Chain) && step.Handle > 0 {
				line += fmt.Sprintf("  rule %d", step.Handle)
				continue
			}
			line += "  " + where(step)
		}
		fmt.Fprintln(p.stdout, strings.TrimRight(line, " "))
	}
}

// commonSteps are those that all paths begin with.
func commonSteps(paths [][]verify.Step) []verify.Step {
	if len(paths) == 0 {
		return nil
	}
	common := paths[0]
	for _, path := range paths[1:] {
		n := 0
		for n < min(len(common), len(path)) && common[n] == path[n] {
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
