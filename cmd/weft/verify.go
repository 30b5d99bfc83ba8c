package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"weft/render/apply"
	"weft/render/verify"
)

func (p *program) verifyCommand() *cobra.Command {
	var vars varFlags
	var output string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the kernel does what a state asks",
		Long: `Read weft's rules back from the kernel, work out what they do with a new packet
to each NodePort, and compare that with the state file. Nothing is taken from
the templates: rules that do the job pass, whoever wrote them.

Exit code 0: proven. 8: the kernel differs. 9: it cannot be told.`,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := p.inputs(&vars)
			if err != nil {
				return err
			}
			st, err := p.readState(in.config.State)
			if err != nil {
				return err
			}
			rs, err := apply.ReadBack(cmd.Context(), in.vars.Table())
			if err != nil {
				return coded{exitCannotTell, err}
			}
			return p.report(verify.Check(rs, st, apply.Want(in.vars)), output)
		},
	}
	vars.add(cmd)
	outputFlag(cmd, &output)
	return cmd
}

// finding is a difference or a doubt, for scripts.
type finding struct {
	ServicePort string   `json:"servicePort,omitempty" yaml:"servicePort,omitempty"`
	Protocol    string   `json:"protocol,omitempty" yaml:"protocol,omitempty"`
	NodePort    uint16   `json:"nodePort,omitempty" yaml:"nodePort,omitempty"`
	Address     string   `json:"address,omitempty" yaml:"address,omitempty"`
	Hook        string   `json:"hook,omitempty" yaml:"hook,omitempty"`
	Conditions  []string `json:"conditions,omitempty" yaml:"conditions,omitempty"`
	Message     string   `json:"message" yaml:"message"`
	Wanted      string   `json:"wanted,omitempty" yaml:"wanted,omitempty"`
	Found       string   `json:"found,omitempty" yaml:"found,omitempty"`
	// Table, Chain and Rule are where packets leave the way that is wanted; Rule is
	// the rule's handle.
	Table string `json:"table,omitempty" yaml:"table,omitempty"`
	Chain string `json:"chain,omitempty" yaml:"chain,omitempty"`
	Rule  uint64 `json:"rule,omitempty" yaml:"rule,omitempty"`
}

func newFinding(s verify.Subject, message, wanted, found string) finding {
	f := finding{
		ServicePort: s.ServicePort, Protocol: string(s.Protocol), NodePort: s.NodePort,
		Conditions: s.Conditions, Message: message, Wanted: wanted, Found: found,
	}
	if s.Address.IsValid() {
		f.Address, f.Hook = s.Address.String(), s.Hook.String()
	}
	if s.Chain != "" {
		f.Table, f.Chain, f.Rule = s.Table.String(), s.Chain, s.Handle
	}
	return f
}

func findings(report *verify.Report) (differs, unknown []finding) {
	differs, unknown = []finding{}, []finding{}
	for _, d := range report.Differs {
		differs = append(differs, newFinding(d.Subject, d.What, d.Wanted, d.Found))
	}
	for _, d := range report.Unknown {
		unknown = append(unknown, newFinding(d.Subject, d.Reason, "", ""))
	}
	return differs, unknown
}

// report prints a report; its exit code tells the result.
func (p *program) report(report *verify.Report, output string) error {
	if output != "text" {
		differs, unknown := findings(report)
		err := p.print(output, map[string]any{"proven": report.Proven, "differs": differs, "unknown": unknown})
		return errors.Join(err, silent(unproven(report)))
	}
	for _, line := range report.Lines() {
		fmt.Fprintln(p.stdout, line)
	}
	fmt.Fprintf(p.stdout, "%d ServicePorts proven, %d differences, %d doubts\n", report.Proven, len(report.Differs), len(report.Unknown))
	return silent(unproven(report))
}

// unproven is the error of a report that proves less than all.
func unproven(report *verify.Report) error {
	switch {
	case len(report.Differs) > 0:
		return coded{exitDiffers, &apply.Unproven{Report: report}}
	case len(report.Unknown) > 0:
		return coded{exitCannotTell, &apply.Unproven{Report: report}}
	}
	return nil
}

// silent keeps the exit code of an error whose text is on standard output.
func silent(err error) error {
	var c coded
	if errors.As(err, &c) {
		return coded{c.code, errSilent}
	}
	return err
}
