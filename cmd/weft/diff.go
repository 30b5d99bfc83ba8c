package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"weft/render/apply"
	"weft/render/nft"
	"weft/render/verify"
)

func (p *program) diffCommand() *cobra.Command {
	var vars varFlags
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show what apply would change in the kernel",
		Long: `Show what apply would change in the kernel: first what would become of new
connections to each NodePort, then the rules as nft lists them, where lines with
- are there now and lines with + would be. Like apply, it leaves the heartbeat
out unless --heartbeat asks for one.

-o nft prints the transaction that apply would load, the smallest that does it;
-o json prints it as libnftables JSON for nft -j -f. What nft's JSON cannot say is
an error that names it: each document was tried in a network namespace of its own
before it is printed. -o yaml prints the difference as data.

Exit code 0 is no change, 2 is changes.`,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check("text", "nft", "json", "yaml"); err != nil {
				return err
			}
			if vars.heartbeat == "" {
				vars.heartbeat = "0"
			}
			desired, err := p.desire(cmd, &vars)
			if err != nil {
				return err
			}
			c, err := p.config()
			if err != nil {
				return err
			}
			if flags.output == "nft" || flags.output == "json" {
				changes, err := p.printPlan(cmd.Context(), c, desired, &flags)
				return changed(changes, err)
			}
			d, err := compare(cmd, desired, nft.Runner{Path: c.Nft})
			if err != nil {
				return err
			}
			return p.printDifference(d, flags.output)
		},
	}
	vars.add(cmd)
	flags.add(cmd, "text, nft, json, yaml (default text)")
	return cmd
}

// changed is the exit code of changes, unless there is an error.
func changed(changes bool, err error) error {
	if err == nil && changes {
		return coded{exitChanges, errSilent}
	}
	return err
}

// difference is what apply would change.
type difference struct {
	Changed      bool          `json:"changed" yaml:"changed"`
	ServicePorts []redirection `json:"servicePorts" yaml:"servicePorts"`
	Nft          string        `json:"nft" yaml:"nft"`
}

// redirection is a NodePort whose new connections would go elsewhere.
type redirection struct {
	ServicePort string `json:"servicePort" yaml:"servicePort"`
	Protocol    string `json:"protocol" yaml:"protocol"`
	NodePort    uint16 `json:"nodePort" yaml:"nodePort"`
	Address     string `json:"address" yaml:"address"`
	What        string `json:"what" yaml:"what"`
	Now         string `json:"now" yaml:"now"`
	Then        string `json:"then" yaml:"then"`
}

func compare(cmd *cobra.Command, desired *apply.Desired, runner nft.Runner) (*difference, error) {
	now, err := apply.Listing(cmd.Context(), runner, desired.Table)
	if err != nil {
		return nil, err
	}
	then, err := desired.Listing(cmd.Context(), runner)
	if err != nil {
		return nil, err
	}
	report, err := desired.Report(cmd.Context())
	if err != nil {
		return nil, err
	}
	return &difference{
		Changed: now != then, ServicePorts: redirections(report),
		Nft: string(diff.Diff("kernel", []byte(now), "desired", []byte(then))),
	}, nil
}

// redirections are the differences about where packets go, each once though it
// holds for packets from outside and from the node itself.
func redirections(report *verify.Report) []redirection {
	list := []redirection{}
	for _, d := range report.Differs {
		r := redirection{d.ServicePort, string(d.Protocol), d.NodePort, "", d.What, d.Found, d.Wanted}
		if d.Address.IsValid() {
			r.Address = d.Address.String()
		}
		if d.NodePort != 0 && !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	return list
}

func (p *program) printDifference(d *difference, output string) error {
	var err error
	if output == "text" {
		for _, r := range d.ServicePorts {
			fmt.Fprintf(p.stdout, "%s %s/%d at %s: %s\n", r.ServicePort, r.Protocol, r.NodePort, r.Address, r.What)
			if r.Now+r.Then != "" {
				fmt.Fprintf(p.stdout, "  now:  %s\n  then: %s\n", r.Now, r.Then)
			}
		}
		_, err = io.WriteString(p.stdout, d.Nft)
	} else {
		err = p.print(output, d)
	}
	return changed(d.Changed, err)
}
