package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// figures are of the requests that were due in a time. Times are in ms.
type figures struct {
	requests       int
	mean, p50, p99 float64
	failed         int
	by             map[string]int // answers by node
}

func summarize(all []answer, from, to time.Duration) figures {
	f := figures{by: map[string]int{}}
	var took []float64
	for _, a := range all {
		if a.due < from || a.due >= to {
			continue
		}
		ms := float64(a.took) / float64(time.Millisecond)
		took = append(took, ms)
		f.mean += ms
		if a.err != "" {
			f.failed++
		} else {
			f.by[a.name]++
		}
	}
	f.requests = len(took)
	if f.requests == 0 {
		return f
	}
	slices.Sort(took)
	f.mean /= float64(f.requests)
	f.p50, f.p99 = quantile(took, 0.5), quantile(took, 0.99)
	return f
}

// quantile of sorted numbers, at least one.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// report prints all figures.
func report(out io.Writer, o options, r *outcome) error {
	fmt.Fprintf(out, "%.0f new connections a second to each side, %.0f %% of what its nodes can do (a tenth of them while idle); nodes of", r.rate, 100*o.load)
	for _, s := range sizes() {
		fmt.Fprintf(out, " %.3f", s)
	}
	fmt.Fprintf(out, " CPUs by cgroups of version %d.\n\n", r.version)
	if err := times(out, r); err != nil {
		return err
	}
	if err := nodes(out, r); err != nil {
		return err
	}
	moves(out, r)
	fmt.Fprintf(out, "%d of %d connections went past weft's rules. A request took %.2f ms of CPU time. The machine was %.0f %% busy",
		r.through, len(r.answers[sideWeft]), r.perRequest(), 100*r.busy)
	if r.busy > 0.85 {
		fmt.Fprint(out, ", so the figures say more about it than about weft")
	}
	fmt.Fprintln(out, ".")
	failures(out, r)
	return nil
}

func times(out io.Writer, r *outcome) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "response times, ms\ts\tequal: mean\tp50\tp99\tfailed\tweft: mean\tp50\tp99\tfailed\tweft/equal: mean\tp99\twrites/min\t")
	line := func(name string, from, to time.Duration) {
		e, f := summarize(r.answers[sideEqual], from, to), summarize(r.answers[sideWeft], from, to)
		fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.1f\t%.0f\t%d\t%.1f\t%.1f\t%.0f\t%d\t%.2f\t%.2f\t%.1f\t\n", name, (to - from).Seconds(),
			e.mean, e.p50, e.p99, e.failed, f.mean, f.p50, f.p99, f.failed, f.mean/e.mean, f.p99/e.p99, r.writesPerMinute(from, to))
	}
	for _, s := range r.spans {
		line(s.name, s.from, s.to)
	}
	line("all", r.spans[0].from, r.spans[len(r.spans)-1].to)
	fmt.Fprintln(w)
	return w.Flush()
}

// writesPerMinute is how often an agent changed its rules, the mean of the agents.
func (r *outcome) writesPerMinute(from, to time.Duration) float64 {
	sum := 0
	for _, n := range writes(r.changes, r.agents, from, to) {
		sum += n
	}
	return float64(sum) / float64(r.agents) / (to - from).Minutes()
}

// nodes prints for each node how busy it was and how many requests it answered.
func nodes(out io.Writer, r *outcome) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "busy / answered, %\t")
	for _, side := range []string{sideEqual, sideWeft} {
		for i := range sizes() {
			fmt.Fprintf(w, "%s %s\t", side, nodeName(i))
		}
	}
	fmt.Fprintln(w)
	for _, s := range r.spans {
		fmt.Fprintf(w, "%s\t", s.name)
		for _, side := range []string{sideEqual, sideWeft} {
			f := summarize(r.answers[side], s.from, s.to)
			for i, used := range s.used[side] {
				answered := 100 * float64(f.by[nodeName(i)]) / float64(max(1, f.requests-f.failed))
				if cpus := s.cpus(i); cpus > 0 {
					fmt.Fprintf(w, "%.0f / %.0f\t", 100*used.Seconds()/(s.to-s.from).Seconds()/cpus, answered)
				} else {
					fmt.Fprintf(w, "- / %.0f\t", answered)
				}
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func nodeName(i int) string { return fmt.Sprintf("node%d", i+1) }

// moves tells how fast shares went to where they ended.
func moves(out io.Writer, r *outcome) {
	all := steps(r.changes, r.agents)
	for _, s := range r.spans {
		if s.moves == nobody {
			continue
		}
		before, after, took := settling(all, s.moves, s.from, s.to)
		fmt.Fprintf(out, "%s, %s: its share in the rules went from %.3f to %.3f", nodeName(s.moves), s.name, before, after)
		if took > 0 {
			fmt.Fprintf(out, ", nine tenths of the way in %.1f s", took.Seconds())
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
}

// perRequest is the CPU time of a request at rest, in ms.
func (r *outcome) perRequest() float64 {
	used, answered := time.Duration(0), 0
	for _, s := range r.spans {
		if s.name != "rest" {
			continue
		}
		for _, side := range []string{sideEqual, sideWeft} {
			for _, u := range s.used[side] {
				used += u
			}
			f := summarize(r.answers[side], s.from, s.to)
			answered += f.requests - f.failed
		}
	}
	return 1000 * used.Seconds() / float64(max(1, answered))
}

// failures says why requests failed, by side, the most frequent first.
func failures(out io.Writer, r *outcome) {
	for _, side := range []string{sideEqual, sideWeft} {
		why := map[string]int{}
		for _, a := range r.answers[side] {
			if a.err != "" {
				why[reason(a.err)]++
			}
		}
		var reasons []string
		for reason := range why {
			reasons = append(reasons, reason)
		}
		slices.SortFunc(reasons, func(a, b string) int { return why[b] - why[a] })
		for _, reason := range reasons {
			fmt.Fprintf(out, "%s: %d requests failed: %s\n", side, why[reason], reason)
		}
	}
}
