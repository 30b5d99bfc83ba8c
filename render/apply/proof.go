package apply

import (
	"context"
	"fmt"

	"weft/render"
	"weft/render/verify"
	"weft/state"
)

// Prove reads the tables back from the kernel and compares what they would do
// with the state. netns is the descriptor of the network namespace, or 0 for
// that of the calling thread. ServicePorts that the templates left out must
// have no rules, like skipped ones.
func Prove(ctx context.Context, netns int, st *state.State, vars render.Vars, leftOut []render.LeftOut) (*verify.Report, error) {
	rs, err := ReadBack(ctx, netns, vars.Table())
	if err != nil {
		return nil, err
	}
	return verify.Check(rs, without(st, leftOut), Want(vars)), nil
}

// ReadBack reads the tables with the name from the kernel.
func ReadBack(ctx context.Context, netns int, table string) (*verify.Ruleset, error) {
	rs, err := verify.Read(ctx, netns, tables(table))
	if err != nil {
		return nil, fmt.Errorf("read the rules back: %w", err)
	}
	return rs, nil
}

// Want is what the vars say about the rules.
func Want(vars render.Vars) verify.Want {
	switch vars.Masquerade() {
	case "remote":
		return verify.Want{Masquerade: verify.MasqueradeRemote}
	case "none":
		return verify.Want{Masquerade: verify.MasqueradeNone}
	}
	return verify.Want{Masquerade: verify.MasqueradeAll}
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
