package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"weft/examples/chart"
)

// plotShares draws what one policy did: the shares that the first agent gave each
// node, and the response times of all requests.
func plotShares(folder, format string, s *scenario, p policy, r *result) error {
	shares := chart.New(fmt.Sprintf("%s, %s: %s", s.name, p.name, s.about), "share of new connections")
	shares.Y.Min = 0
	for i, n := range s.nodes {
		line := make(plotter.XYs, len(r.shares))
		for j, at := range r.shares {
			line[j] = plotter.XY{X: at.t, Y: at.shares[i]}
		}
		if err := chart.AddLine(shares, fmt.Sprintf("node %d, %d cores", i, n.cores), line, i, plotter.PostStep); err != nil {
			return err
		}
	}
	times := chart.New("", "response time, s")
	for i, part := range []struct {
		name string
		q    float64
	}{{"mean", -1}, {"median", 0.5}, {"p99", 0.99}} {
		if err := chart.AddLine(times, part.name, r.over(part.q), i, plotter.NoStep); err != nil {
			return err
		}
	}
	chart.LogScale(times)
	return save(filepath.Join(folder, fmt.Sprintf("%s-%s.%s", s.name, file(p.name), format)), format, shares, times)
}

// compared are the policies that are drawn together where there are more than can be
// told apart.
var compared = [...]string{"equal", "oracle", "proto1", "proto.3", "wrr", "prom+guard", "peer+guard"}

// save leaves room for the legends at the right.
func save(path, format string, plots ...*plot.Plot) error {
	for _, p := range plots {
		p.X.Max += (p.X.Max - p.X.Min) / 6
	}
	return chart.Save(path, format, plots...)
}

// plotPolicies compares the response times of several policies.
func plotPolicies(folder, format string, s *scenario, by []policy, results []*result) error {
	means, tails := chart.New(s.name+": "+s.about, "mean response time, s"), chart.New("", "p99, s")
	drawn := 0
	for i, p := range by {
		if len(by) > len(compared) && !slices.Contains(compared[:], p.name) {
			continue
		}
		if err := chart.AddLine(means, p.name, results[i].over(-1), drawn, plotter.NoStep); err != nil {
			return err
		}
		if err := chart.AddLine(tails, p.name, results[i].over(0.99), drawn, plotter.NoStep); err != nil {
			return err
		}
		drawn++
	}
	chart.LogScale(means)
	chart.LogScale(tails)
	return save(filepath.Join(folder, s.name+"."+format), format, means, tails)
}

// over is a quantile of the response times in each window; -1 is their mean.
func (r *result) over(q float64) plotter.XYs {
	var line plotter.XYs
	for i, w := range r.windows {
		if len(w.took) < 20 {
			continue
		}
		v := mean(w.took)
		if q >= 0 {
			v = quantile(slices.Sorted(slices.Values(w.took)), q)
		}
		line = append(line, plotter.XY{X: (float64(i) + 0.5) * windowLength, Y: v})
	}
	return line
}

// file makes a name of a policy that suits a file.
func file(name string) string {
	out := []byte(name)
	for i, c := range out {
		if c == '+' || c == '.' {
			out[i] = '-'
		}
	}
	return string(out)
}

// plots draws every policy in the scenarios that are worth a look.
func plots(o options, chosen []scenario, by []policy, results [][][]*result) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make the folder for plots: %w", err)
	}
	for i := range chosen {
		if !o.isPlotted(&chosen[i]) {
			continue
		}
		var first []*result
		for j, p := range by {
			first = append(first, results[i][j][0])
			if err := plotShares(o.out, o.format, &chosen[i], p, results[i][j][0]); err != nil {
				return err
			}
		}
		if err := plotPolicies(o.out, o.format, &chosen[i], by, first); err != nil {
			return err
		}
	}
	return nil
}
