package main

import (
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"weft/examples/chart"
)

// picture is a plot of some rows against the size.
type picture struct {
	title string
	lines []line
}

// line is the cost of a row, or that of its yardstick.
type line struct {
	what      string
	yardstick bool
}

var pictures = []picture{
	{"everything", []line{{"cold start, proof included", false}, {"all shares changed, proof included", false}, {"cold start, proof included", true}, {"bare nft -f of the full text", true}}},
	{"one change, proof included", []line{{"one endpoint changed, proof included", false}, {"one endpoint changed, proof included", true}, {"one ServicePort added, proof included", false}, {"one ServicePort added, proof included", true}}},
	{"somebody else's one-element transaction", []line{{"somebody else's one-element transaction beside weft", false}, {"somebody else's one-element transaction beside weft", true}}},
}

// plots draws the costs against the size, a file for each set.
func (b *bench) plots() error {
	for _, set := range b.sets {
		var plots []*plot.Plot
		for _, p := range pictures {
			drawn, err := b.plot(set, p)
			if err != nil {
				return err
			}
			plots = append(plots, drawn)
		}
		if err := chart.Save(filepath.Join(b.out, set+"."+b.format), b.format, plots...); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) plot(set string, p picture) (*plot.Plot, error) {
	drawn := chart.New(set+": "+p.title, "seconds")
	drawn.X.Label.Text = "ServicePorts with ten endpoints each"
	drawn.X.Scale, drawn.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	drawn.Y.Scale, drawn.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	drawn.Legend.Left = true
	for i, l := range p.lines {
		var points plotter.XYs
		name := l.what
		for _, r := range b.rows {
			if r.set != set || r.what != l.what {
				continue
			}
			y := r.cost
			if l.yardstick {
				y, name = r.yardstick, r.against
			}
			points = append(points, plotter.XY{X: float64(r.size), Y: y})
		}
		if err := chart.AddLine(drawn, name, points, i, plotter.NoStep); err != nil {
			return nil, err
		}
	}
	return drawn, nil
}
