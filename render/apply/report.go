package apply

import (
	"errors"

	"weft/render"
	"weft/state/status"
)

// claim notes that the kernel does what the desired rules should do.
func (l *Loop) claim(desired *Desired) {
	l.applied = desired
	l.Status.Proven(l.rules(desired))
}

// rules are the desired ones as others see them.
func (l *Loop) rules(d *Desired) *status.Rules {
	r := &status.Rules{
		State: d.State, Set: d.Set, Table: d.Table, Text: d.Text, Source: d.Source,
		Heartbeat: d.Vars.Heartbeat(), Pinned: l.pinned == d,
		Origin: func(line int) status.Origin {
			o := d.Origin(line)
			at := status.Origin{File: o.File, Line: o.Line}
			if o.ServicePort != nil {
				at.ServicePort = o.ServicePort.ID()
			}
			return at
		},
	}
	if len(d.LeftOut) > 0 {
		r.LeftOut = map[string]string{}
	}
	for _, left := range d.LeftOut {
		r.LeftOut[left.ServicePort.ID()] = reason(left)
	}
	return r
}

// report tells how a stage that [Loop.complain] knows ended.
func (l *Loop) report(stage string, err error) {
	switch stage {
	case "state":
		l.Status.Failed(status.Read, err)
	case "templates":
		l.Status.Failed(status.Templates, err)
	case "listen":
		l.Status.Failed(status.Listen, err)
	case "heartbeat":
		l.Status.Failed(status.Heartbeat, err)
	case "flows":
		l.Status.Failed(status.Flows, err)
	case "pin":
		l.Status.Failed(status.Pin, err)
	case "apply":
		l.reportApply(err)
	}
}

// reportApply gives the failure to the one stage that it belongs to: of the
// others nothing is known to be wrong.
func (l *Loop) reportApply(err error) {
	at := failedStage(err)
	for _, s := range []status.Stage{status.Render, status.Plan, status.Apply, status.Verify} {
		if s == at {
			l.Status.Failed(s, err)
		} else {
			l.Status.Failed(s, nil)
		}
	}
}

// failedStage is where an error on the way to the kernel comes from; empty for
// none.
func failedStage(err error) status.Stage {
	var refused *Refusal
	var unproven *Unproven
	var failed *render.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &unproven):
		return status.Verify
	case errors.As(err, &refused) && refused.By == "nft":
		return status.Apply
	case errors.As(err, &refused), errors.As(err, &failed):
		return status.Render
	}
	return status.Apply
}

// reportLetGo tells why the heartbeat is not renewed, if it is not.
func (l *Loop) reportLetGo() {
	switch {
	case l.pinned == nil && l.stale:
		l.Status.LetGo("the state is older than failAfter, " + l.FailAfter.String())
	case l.blind():
		l.Status.LetGo("nothing that is wanted could be proven for " + l.FailAfter.String())
	default:
		l.Status.LetGo("")
	}
}

// reason is why a ServicePort was left out; of one that a history tells of, it is
// not kept.
func reason(left render.LeftOut) string {
	if left.Err == nil {
		return "its template failed"
	}
	return left.Err.Error()
}
