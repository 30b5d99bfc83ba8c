package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"weft/state"
)

// explainShares shows what a ServicePort's shares were made of: for each node what
// was measured, by what and how long ago; the factors; the share that they aim at
// and the one in use; and what holds the shares back.
func (p *program) explainShares(st *state.State, sp *state.ServicePort, now time.Time) error {
	if len(sp.Factors) == 0 {
		return nil
	}
	fmt.Fprintf(p.stdout, "  shares (policy %s%s):\n", sp.Policy, heldBy(sp.Held))
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "    NODE\tLATENCY\tCPU\tBASE\tx LATENCY\tx TRIM\tx GUARD\tTARGET\tSHARE")
	for _, f := range sp.Factors {
		n := findNode(st, f.Node)
		fmt.Fprintf(w, "    %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", nameOf(f), latencyOf(n, now), cpuOf(n, now),
			share(f.Base), factor(f.Latency), factor(f.Trim), factor(f.Guard), percent(f.Target), percent(f.Share))
	}
	return w.Flush()
}

func heldBy(holds []state.Hold) string {
	var reasons []string
	for _, h := range holds {
		reasons = append(reasons, string(h))
	}
	if len(reasons) == 0 {
		return ""
	}
	return ", held by " + strings.Join(reasons, ", ")
}

// findNode is nil for a node that the state does not have.
func findNode(st *state.State, name string) *state.Node {
	for i := range st.Nodes {
		if st.Nodes[i].Name == name {
			return &st.Nodes[i]
		}
	}
	return nil
}

func nameOf(f state.Factor) string {
	if f.Node != "" {
		return f.Node
	}
	return f.Address.String()
}

func latencyOf(n *state.Node, now time.Time) string {
	switch {
	case n != nil && !n.Unreachable.IsZero():
		return "no answer for " + age(n.Unreachable, now)
	case n == nil || n.Latency == nil:
		return "not known"
	}
	d := time.Duration(n.Latency.Seconds * float64(time.Second))
	return fmt.Sprintf("%v (%s)", d.Round(time.Microsecond), origin(n.Latency.Source, n.Latency.Measured, now))
}

func cpuOf(n *state.Node, now time.Time) string {
	if n == nil || n.CPU == nil {
		return "not known"
	}
	return fmt.Sprintf("%s (%s)", percent(n.CPU.Ratio), origin(n.CPU.Source, n.CPU.Measured, now))
}

// origin is who measured, and how long ago.
func origin(source string, measured, now time.Time) string {
	if source == "" {
		return age(measured, now) + " ago"
	}
	return source + ", " + age(measured, now) + " ago"
}

func age(t, now time.Time) string { return now.Sub(t).Round(time.Second).String() }

func factor(v *float64) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'f', 3, 64)
}

// share is what the weights alone give; a node that is out, or drained, has none.
func share(v *float64) string {
	if v == nil {
		return "-"
	}
	return percent(*v)
}

func percent(v float64) string { return strconv.FormatFloat(v*100, 'f', 1, 64) + "%" }
