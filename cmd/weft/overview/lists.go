package overview

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"weft/state/status"
)

func (p *printer) nodes(nodes []status.Node) {
	if len(nodes) == 0 {
		return
	}
	slowest, busy := 0.0, false
	for _, n := range nodes {
		if n.Latency != nil {
			slowest = max(slowest, n.Latency.Seconds)
		}
		busy = busy || n.CPU != nil
	}
	p.linef("")
	p.table(func(w io.Writer) {
		fmt.Fprintln(w, "NODE\tLATENCY\tCPU\tSHARE\tARRIVED / ASKED\tFACTOR\tENDPOINTS")
		for _, n := range nodes {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", n.Name, p.latency(n, slowest), p.cpu(n), p.portion(n.Share), p.seen(n.Seen), factor(n), n.Endpoints)
		}
	})
}

func (p *printer) latency(n status.Node, slowest float64) string {
	switch {
	case !n.Unreachable.IsZero():
		return "no answer " + p.age(n.Unreachable)
	case n.Latency == nil:
		return "-"
	}
	return fmt.Sprintf("%9s%s", Milliseconds(n.Latency.Seconds), p.bar(n.Latency.Seconds/slowest, 8))
}

func (p *printer) cpu(n status.Node) string {
	if n.CPU == nil {
		return "-"
	}
	return p.portion(n.CPU.Ratio)
}

func factor(n status.Node) string {
	if n.Factor == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *n.Factor)
}

func (p *printer) portion(v float64) string {
	return fmt.Sprintf("%5s%s", Percent(v), p.bar(v, 10))
}

// seen is what really arrived, and what was asked of the same connections.
func (p *printer) seen(s *status.Seen) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%5s / %s", Percent(s.Share), Percent(s.Asked))
}

// bar draws a part of 1.
func (p *printer) bar(v float64, width int) string {
	if p.bare {
		return ""
	}
	full, empty := "#", "."
	if p.Blocks {
		full, empty = "█", "░"
	}
	n := min(max(int(v*float64(width)+0.5), 0), width)
	if v > 0 && n == 0 {
		n = 1
	}
	return " " + strings.Repeat(full, n) + strings.Repeat(empty, width-n)
}

func (p *printer) servicePorts(ports []status.ServicePort) {
	steered := slices.DeleteFunc(slices.Clone(ports), func(s status.ServicePort) bool { return s.Skipped != "" })
	skipped := slices.DeleteFunc(slices.Clone(ports), func(s status.ServicePort) bool { return s.Skipped == "" })
	if len(ports) > 0 {
		p.linef("")
		p.linef("%d ServicePorts steered, %d left to kube-proxy%s", len(steered), len(skipped), reasons(skipped))
	}
	shown := steered
	if p.ServicePorts > 0 && len(shown) > p.ServicePorts {
		shown = shown[:p.ServicePorts]
	}
	if len(shown) > 0 {
		p.table(func(w io.Writer) {
			fmt.Fprintln(w, "SERVICEPORT\tNODEPORT\tCONNECTIONS\tSHARES OF NODES (ARRIVED / ASKED)\tPOLICY")
			for _, s := range shown {
				fmt.Fprintf(w, "%s\t%s/%d\t%d\t%s\t%s\n", s.ID, s.Protocol, s.NodePort, s.Connections, strings.Join(byNode(s), "  "), policy(s))
			}
		})
	}
	if more := len(steered) - len(shown); more > 0 {
		p.linef("%s", p.paint(faint, fmt.Sprintf("and %d more: weft status --all, or -o json", more)))
	}
}

// reasons counts why ServicePorts are skipped, the most frequent first.
func reasons(skipped []status.ServicePort) string {
	counts := map[string]int{}
	for _, s := range skipped {
		first, _, _ := strings.Cut(s.Skipped, "\n")
		counts[first]++
	}
	var texts []string
	for reason := range counts {
		texts = append(texts, reason)
	}
	slices.SortFunc(texts, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	for i, reason := range texts {
		texts[i] = fmt.Sprintf("\n  %d: %s", counts[reason], reason)
	}
	return strings.Join(texts, "")
}

func policy(s status.ServicePort) string {
	text := string(s.Policy)
	if text == "" {
		text = "-"
	}
	for i, h := range s.Held {
		text += []string{" (", ", "}[min(i, 1)] + string(h)
	}
	if len(s.Held) > 0 {
		text += ")"
	}
	return text
}

// byNode are the shares that nodes get, the largest first, and what arrived.
func byNode(s status.ServicePort) []string {
	parts := s.Portions()
	slices.SortStableFunc(parts, func(a, b status.Portion) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.Name, b.Name))
	})
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = Percent(p.Share) + " " + p.Name
		if p.Seen != nil {
			texts[i] += " (" + Percent(p.Seen.Share) + " / " + Percent(p.Seen.Asked) + ")"
		}
	}
	return texts
}

func (p *printer) transactions(list []Transaction) {
	if len(list) == 0 {
		return
	}
	p.linef("")
	p.table(func(w io.Writer) {
		fmt.Fprintln(w, "TRANSACTION\tAGE\tGENERATION\tSET\tRESULT\tMESSAGE")
		for _, t := range list {
			first, _, _ := strings.Cut(t.Message, "\n")
			fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\t%s\n", t.ID, p.age(t.Time), t.Generation, t.Set, t.Result, first)
		}
	})
}

// only lists the endpoints of some ServicePorts.
func (p *printer) only(o *Overview) {
	for _, s := range o.ServicePorts {
		if !s.Is(p.Only) {
			continue
		}
		p.linef("%s  %s/%d  policy %s", p.paint(bold, s.ID), s.Protocol, s.NodePort, policy(s))
		if s.Skipped != "" {
			p.linef("  left to kube-proxy: %s", s.Skipped)
		}
		p.table(func(w io.Writer) {
			fmt.Fprintln(w, "  ENDPOINT\tNODE\tSHARE\tARRIVED / ASKED\tCONNECTIONS")
			for _, e := range s.Endpoints {
				fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", e.Address, e.Node, p.portion(e.Share), p.seen(e.Seen), came(e.Seen))
			}
		})
	}
}

func came(s *status.Seen) string {
	if s == nil {
		return "-"
	}
	return strconv.FormatUint(s.Connections, 10)
}
