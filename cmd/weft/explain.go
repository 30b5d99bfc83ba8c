package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft/render"
	"weft/render/apply"
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
			k, err := p.kernelRules(cmd.Context(), desired.Table, &vars)
			if err != nil {
				return err
			}
			for _, sp := range found {
				if err := p.explain(desired, k, sp); err != nil {
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

func (p *program) explain(desired *apply.Desired, k *kernelRules, sp *state.ServicePort) error {
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
		if err := p.explainKernel(k, sp, address); err != nil {
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
