package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weft/render"
	"weft/render/history"
	"weft/render/nft"
	"weft/render/ruleset"
	"weft/state"
)

// Record is the history's entry for a transaction that ended with err. desired is
// what was to be loaded; of what the lint refused it may be nil. text is the
// state file. There is nothing to record if nothing was rendered.
func Record(desired *Desired, text []byte, err error) (e history.Entry, ok bool) {
	var refused *Refusal
	if desired == nil && errors.As(err, &refused) {
		desired = refused.Desired
	}
	if desired == nil {
		return history.Entry{}, false
	}
	e = history.Entry{
		Generation: desired.State.Generation, Set: desired.Set, Table: desired.Table, Vars: recordedVars(desired.Vars),
		Result: resultOf(err), Parts: desired.Parts, State: text,
	}
	if err != nil {
		e.Message = err.Error()
	}
	for _, left := range desired.LeftOut {
		e.LeftOut = append(e.LeftOut, left.ServicePort.ID())
	}
	return e, true
}

// recordedVars are the vars that matter after rendering.
func recordedVars(vars render.Vars) map[string]any {
	kept := map[string]any{}
	for _, name := range []string{"table", "nodePortIPs", "heartbeat", "masquerade"} {
		kept[name] = vars[name]
	}
	kept["modulus"] = vars.Modulus()
	return kept
}

func resultOf(err error) history.Result {
	var refused *Refusal
	var unproven *Unproven
	switch {
	case err == nil:
		return history.Proven
	case errors.As(err, &unproven) && !unproven.Rehearsed:
		return history.Unproven
	case errors.As(err, &refused), errors.As(err, &unproven):
		return history.Refused
	}
	return history.Failed
}

// Recorded is the ruleset of an entry, to be loaded and proven like one that was
// just rendered. The state is the one that the entry was made of.
func Recorded(e history.Entry) (*Desired, error) {
	name := fmt.Sprintf("entry %d of the history", e.ID)
	st, err := state.Decode("state in "+name, e.State)
	if err != nil {
		return nil, err
	}
	parsed, err := ruleset.Parse(e.Text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	vars := render.Vars(e.Vars)
	if e.Table == "" || vars.Table() != e.Table {
		return nil, fmt.Errorf("%s: it does not say which table it is for", name)
	}
	result := render.NewResult(e.Set, e.Text)
	for _, sp := range st.ServicePorts {
		if slices.Contains(e.LeftOut, sp.ID()) {
			result.LeftOut = append(result.LeftOut, render.LeftOut{ServicePort: sp})
		}
	}
	return &Desired{Result: result, State: st, Vars: vars, Table: e.Table, Ruleset: parsed}, nil
}

// LoadForGood is Load for whoever does not stay to renew the heartbeat: rules
// that were made with one get to work until somebody takes them out.
func (d *Desired) LoadForGood(ctx context.Context, runner nft.Runner) error {
	if d.Vars.Heartbeat() == 0 {
		return d.Load(ctx, runner)
	}
	copied := *d
	copied.Result = render.NewResult(d.Set, strings.TrimRight(d.Text(), "\n")+"\n"+endless(d.State, d.Vars))
	copied.LeftOut = d.LeftOut
	return copied.Load(ctx, runner)
}

// endless replaces the elements of the heartbeat by ones without a timeout.
func endless(st *state.State, vars render.Vars) string {
	var b strings.Builder
	for _, a := range st.Addresses {
		family := "ip6"
		if a.Is4() {
			family = "ip"
		}
		element := fmt.Sprintf("element %s %s %s { %s }\n", family, vars.Table(), vars.NodePortIPs(), a)
		b.WriteString("add " + element + "delete " + element + "add " + element)
	}
	return b.String()
}
