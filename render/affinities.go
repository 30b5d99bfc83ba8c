package render

import (
	"slices"

	"weft/state"
)

// affinities follow which ServicePorts of one state after the other have an affinity. They
// look at those alone that changed.
type affinities struct {
	seen, list []*state.ServicePort
}

// leftAlone are the ServicePorts that the vars leave to kube-proxy.
func (a *affinities) leftAlone(st *state.State, vars Vars) (list []LeftOut) {
	a.follow(st.ServicePorts)
	if vars.HashesAffinity() {
		return nil
	}
	for _, p := range a.list {
		list = append(list, LeftOut{p, &Error{
			ServicePort: p.ID(), record: p,
			Message: "its affinity is " + string(p.Affinity) + ", which is left to kube-proxy unless the var affinity is hash",
		}})
	}
	return list
}

func (a *affinities) follow(all []*state.ServicePort) {
	gone, came := state.Difference(a.seen, all)
	a.seen = all
	if len(a.list) > 0 && len(gone) > 0 {
		left := make(map[*state.ServicePort]bool, len(gone))
		for _, p := range gone {
			left[p] = true
		}
		a.list = slices.DeleteFunc(a.list, func(p *state.ServicePort) bool { return left[p] })
	}
	for _, p := range came {
		if p.Affinity != "" && p.Steered() {
			a.list = append(a.list, p)
		}
	}
}
