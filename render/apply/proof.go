package apply

import (
	"context"
	"fmt"

	"weft/render"
	"weft/render/verify"
	"weft/state"
)

// Report reads the tables back from the kernel and compares what they would do
// with the state. ServicePorts that the templates left out must have no rules,
// like skipped ones. It looks into the network namespace of the calling thread.
func (d *Desired) Report(ctx context.Context) (*verify.Report, error) {
	rs, err := ReadBack(ctx, d.Table)
	if err != nil {
		return nil, err
	}
	return d.check(rs), nil
}

func (d *Desired) check(rs *verify.Ruleset) *verify.Report {
	return verify.Check(rs, without(d.State, d.LeftOut), Want(d.Vars))
}

// Prove is Report for whoever wants all or nothing: an [*Unproven] says what is
// not as it should be.
func (d *Desired) Prove(ctx context.Context) error {
	report, err := d.Report(ctx)
	if err != nil {
		return err
	}
	if !report.OK() {
		return &Unproven{Report: report}
	}
	return nil
}

// Unproven is a ruleset that was loaded and does not do what the state asks, or
// of which that cannot be told.
type Unproven struct {
	Report *verify.Report
	// Rehearsed says that it was loaded where no packet is, and nowhere else.
	Rehearsed bool
}

func (u *Unproven) Error() string {
	if u.Rehearsed {
		return "rules tried but not proven, so they were not loaded:\n" + u.Report.Brief()
	}
	return "rules loaded but not proven:\n" + u.Report.Brief()
}

// ReadBack reads the tables with the name from the kernel.
func ReadBack(ctx context.Context, table string) (*verify.Ruleset, error) {
	rs, err := verify.Read(ctx, 0, tables(table))
	if err != nil {
		return nil, fmt.Errorf("read the rules back: %w", err)
	}
	return rs, nil
}

// Want is what the vars say about the rules.
func Want(vars render.Vars) verify.Want {
	want := verify.Want{Modulus: vars.Modulus()}
	if vars.Heartbeat() > 0 {
		want.Heartbeat = vars.NodePortIPs()
	}
	switch vars.Masquerade() {
	case "remote":
		want.Masquerade = verify.MasqueradeRemote
	case "none":
		want.Masquerade = verify.MasqueradeNone
	}
	return want
}

func tables(name string) []verify.TableID {
	return []verify.TableID{{Family: verify.IPv4, Name: name}, {Family: verify.IPv6, Name: name}, {Family: verify.INet, Name: name}}
}

// without is the state with the ServicePorts that were left out as skipped.
func without(st *state.State, leftOut []render.LeftOut) *state.State {
	if len(leftOut) == 0 {
		return st
	}
	out := map[*state.ServicePort]bool{}
	for _, l := range leftOut {
		out[l.ServicePort] = true
	}
	copied := *st
	copied.ServicePorts = make([]*state.ServicePort, len(st.ServicePorts))
	for i, p := range st.ServicePorts {
		if out[p] {
			skipped := *p
			skipped.Skipped = "its template failed"
			p = &skipped
		}
		copied.ServicePorts[i] = p
	}
	return &copied
}
