package watch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"weft/state"
)

// tell says what was written.
func (l *Loop) tell(before, after *state.State) {
	if before == nil || before.Generation != after.Generation {
		steered := 0
		for _, p := range after.ServicePorts {
			if p.Steered() {
				steered++
			}
		}
		l.Log.Info("state written", "generation", after.Generation, "servicePorts", len(after.ServicePorts), "steered", steered)
	}
	if before == nil {
		before = &state.State{} // at the start, what is left to kube-proxy is news
	}
	l.tellReasons(before.ServicePorts, after.ServicePorts)
	if l.Log.Enabled(context.Background(), slog.LevelDebug) {
		l.tellChanges(before, after)
	}
}

// tellChanges says what each node was measured to be, and of each ServicePort that
// changed what its endpoints get.
func (l *Loop) tellChanges(before, after *state.State) {
	for i := range after.Nodes {
		if n := &after.Nodes[i]; n.Latency != nil || n.CPU != nil {
			l.Log.Debug("node measured", measured(n)...)
		}
	}
	if before.Generation == after.Generation {
		return
	}
	kept := map[*state.ServicePort]bool{}
	for _, p := range before.ServicePorts {
		kept[p] = true
	}
	for _, p := range after.ServicePorts {
		if !kept[p] {
			l.Log.Debug("ServicePort changed", "servicePort", p.ID(), "protocol", p.Protocol, "nodePort", p.NodePort, "shares", shares(p), "skipped", p.Skipped)
		}
	}
}

// measured are the measurements of a node, those that there are.
func measured(n *state.Node) []any {
	attrs := []any{"node", n.Name}
	if n.Latency != nil {
		attrs = append(attrs, "latency", time.Duration(n.Latency.Seconds*float64(time.Second)))
	}
	if n.CPU != nil {
		attrs = append(attrs, "cpu", n.CPU.Ratio)
	}
	return attrs
}

// shares are those of the endpoints, in the order of the state.
func shares(p *state.ServicePort) string {
	var b strings.Builder
	for i, e := range p.Endpoints {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %.4g", e.AddrPort(), e.Share)
		if e.Node != "" {
			b.WriteString(" on " + e.Node)
		}
	}
	return b.String()
}

// tellReasons says for each ServicePort whose reason to be skipped changed what
// it is now: one line a change, whatever the number of events.
func (l *Loop) tellReasons(before, after []*state.ServicePort) {
	if slices.Equal(before, after) { // by pointers, as after a write for measurements alone
		return
	}
	for _, p := range after {
		for len(before) > 0 && before[0].Compare(p) < 0 {
			before = before[1:]
		}
		was := ""
		if len(before) > 0 && before[0].Compare(p) == 0 {
			was = before[0].Skipped
		}
		switch {
		case p.Skipped == was:
		case p.Steered():
			l.Log.Info("ServicePort steered", "servicePort", p.ID(), "protocol", p.Protocol, "nodePort", p.NodePort)
		default:
			l.Log.Info("ServicePort left to kube-proxy", "servicePort", p.ID(), "protocol", p.Protocol, "nodePort", p.NodePort, "reason", p.Skipped)
		}
	}
}
