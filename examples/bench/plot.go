package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"weft/examples/chart"
)

// window is what a point of a plot is the mean of.
const window = 4 * time.Second

// plots draws shares and response times over time.
func plots(o options, r *outcome, out io.Writer) error {
	if o.out == "" {
		return nil
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make the folder for plots: %w", err)
	}
	shares, times := filepath.Join(o.out, "shares."+o.format), filepath.Join(o.out, "times."+o.format)
	if err := plotShares(shares, o, r); err != nil {
		return err
	}
	if err := plotTimes(times, o, r); err != nil {
		return err
	}
	rules := filepath.Join(o.out, "rules.csv")
	if err := writeRules(rules, r); err != nil {
		return err
	}
	fmt.Fprintf(out, "Plots: %s and %s; each change of rules, and why: %s.\n", shares, times, rules)
	return nil
}

func plotShares(path string, o options, r *outcome) error {
	rules, answered, equal := chart.New("weft: shares in the rules", "share"), chart.New("weft: shares of the answers", "share"), chart.New("equal: shares of the answers", "share")
	all := steps(r.changes, r.agents)
	end := r.spans[len(r.spans)-1].to
	for i := range sizes() {
		name := fmt.Sprintf("%s, %.3f CPUs", nodeName(i), sizes()[i])
		var line plotter.XYs
		for _, s := range all {
			line = append(line, plotter.XY{X: s.at.Seconds(), Y: s.shares[i]})
		}
		line = append(line, plotter.XY{X: end.Seconds(), Y: share(all, i, end)})
		if err := chart.AddLine(rules, name, line, i, plotter.PostStep); err != nil {
			return err
		}
		for p, side := range map[*plot.Plot]string{answered: sideWeft, equal: sideEqual} {
			line := overTime(r, side, o, func(f figures) float64 { return float64(f.by[nodeName(i)]) / float64(max(1, f.requests-f.failed)) })
			if err := chart.AddLine(p, name, line, i, plotter.NoStep); err != nil {
				return err
			}
		}
	}
	for _, p := range []*plot.Plot{rules, answered, equal} {
		p.Y.Min, p.Y.Max = 0, 0.6
		mark(p, r)
	}
	return chart.Save(path, o.format, rules, answered, equal)
}

func plotTimes(path string, o options, r *outcome) error {
	mean, p99, failed := chart.New("mean response time, a failure counts as 5 s", "s"), chart.New("99 % are faster", "s"), chart.New("failed", "share of requests")
	for i, side := range []string{sideEqual, sideWeft} {
		for _, of := range []struct {
			plot  *plot.Plot
			value func(figures) float64
		}{
			{mean, func(f figures) float64 { return f.mean / 1000 }},
			{p99, func(f figures) float64 { return f.p99 / 1000 }},
			{failed, func(f figures) float64 { return float64(f.failed) / float64(max(1, f.requests)) }},
		} {
			if err := chart.AddLine(of.plot, side, overTime(r, side, o, of.value), i, plotter.NoStep); err != nil {
				return err
			}
		}
	}
	for _, p := range []*plot.Plot{mean, p99} {
		chart.LogScale(p)
	}
	for _, p := range []*plot.Plot{mean, p99, failed} {
		mark(p, r)
	}
	return chart.Save(path, o.format, mean, p99, failed)
}

// overTime is a figure of each window that has requests.
func overTime(r *outcome, side string, o options, value func(figures) float64) plotter.XYs {
	length := o.paced(window)
	var line plotter.XYs
	all := slices.SortedFunc(slices.Values(r.answers[side]), func(a, b answer) int { return int(a.due - b.due) })
	for from := time.Duration(0); from < r.spans[len(r.spans)-1].to; from += length {
		if f := summarize(all, from, from+length); f.requests > 0 {
			line = append(line, plotter.XY{X: (from + length/2).Seconds(), Y: value(f)})
		}
	}
	return line
}

// mark shows where the phases begin.
func mark(p *plot.Plot, r *outcome) {
	for _, s := range r.spans {
		p.Add(chart.Mark{X: s.from.Seconds(), Text: s.name})
	}
	// Beside the last phase is room for the legend.
	p.X.Min, p.X.Max = 0, 1.2*r.spans[len(r.spans)-1].to.Seconds()
}
