package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"
)

// run simulates what the flags ask for and prints a table for each scenario.
func run(o options, out io.Writer) error {
	if o.list {
		return list(out)
	}
	chosen, err := choose(scenarios(), func(s scenario) string { return s.name }, o.scenarios)
	if err != nil {
		return err
	}
	by, err := choose(policies(), func(p policy) string { return p.name }, o.policies)
	if err != nil {
		return err
	}
	if o.policies == "" {
		by = slices.DeleteFunc(by, func(p policy) bool { return strings.HasSuffix(p.name, "+polled") }) // which weft never is
	}
	results := simulate(chosen, by, o)
	for i := range chosen {
		if err := table(out, &chosen[i], by, results[i]); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	if err := plots(o, chosen, by, results); err != nil {
		return err
	}
	fmt.Fprintf(out, "Plots are in %s: one for each scenario that is worth a look, and one for each policy in it.\n", o.out)
	return nil
}

// simulate returns the results by scenario, policy and seed.
func simulate(chosen []scenario, by []policy, o options) [][][]*result {
	results := make([][][]*result, len(chosen))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range chosen {
		results[i] = make([][]*result, len(by))
		for j := range by {
			results[i][j] = make([]*result, max(1, o.seeds))
			for k := range results[i][j] {
				g.Go(func() error {
					s := chosen[i] // a run may change it
					w := newWorld(&s, by[j], o.seed+uint64(k))
					w.result.drawn = k == 0 && o.isPlotted(&s)
					results[i][j][k] = w.run()
					return nil
				})
			}
		}
	}
	_ = g.Wait() // the runs return no errors
	return results
}

// isPlotted says which scenarios are worth a look: some, and those asked for.
func (o *options) isPlotted(s *scenario) bool { return o.out != "" && (s.plot || o.scenarios != "") }

func table(out io.Writer, s *scenario, by []policy, results [][]*result) error {
	fmt.Fprintf(out, "%s: %s\n", s.name, s.about)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "policy\tmean ms\tp95\tp99\tfailed %\twrites/min\t"
	if len(s.legs) > 0 {
		head += "down - up ms\t"
	}
	fmt.Fprintln(w, head)
	for j, p := range by {
		var all []summary
		for _, r := range results[j] {
			all = append(all, r.summary())
		}
		a := average(all)
		fmt.Fprintf(w, "%s\t%.1f\t%.0f\t%.0f\t%.2f\t%.1f\t", p.name, a.mean, a.p95, a.p99, a.failed, a.writes)
		if len(s.legs) > 0 {
			fmt.Fprintf(w, "%+.1f\t", a.late)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func list(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range scenarios() {
		fmt.Fprintf(w, "scenario\t%s\t%s\n", s.name, s.about)
	}
	for _, p := range policies() {
		fmt.Fprintf(w, "policy\t%s\t%s\n", p.name, p.about)
	}
	return w.Flush()
}
