package main

import (
	"math"
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
	name      string
	what      string
	yardstick bool
}

var pictures = []picture{
	{"everything", []line{
		{"cold start, proof included", coldStart, false},
		{"all shares changed, proof included", allShares, false},
		{"bare nft -f of the full text", coldStart, true},
		{"nft -f of kube-proxy's shape", fullText, true},
	}},
	{"one change", []line{
		{"endpoint changed, proof included", oneEndpoint, false},
		{"endpoint changed by hand", oneEndpoint, true},
		{"ServicePort added, proof included", oneAdded, false},
		{"ServicePort added by hand", oneAdded, true},
	}},
	{"somebody else's one-element transaction", []line{{"beside weft", othersElement, false}, {"without weft", othersElement, true}}},
}

// Rows that are drawn.
const (
	coldStart     = "cold start, proof included"
	allShares     = "all shares changed, proof included"
	oneEndpoint   = "one endpoint changed, proof included"
	oneAdded      = "one ServicePort added, proof included"
	fullText      = "bare nft -f of the full text"
	othersElement = "somebody else's one-element transaction beside weft"
)

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
	low, high := math.Inf(1), 0.0
	for i, l := range p.lines {
		points := b.points(set, l)
		for _, at := range points {
			low, high = min(low, at.Y), max(high, at.Y)
		}
		if err := chart.AddLine(drawn, l.name, points, i, plotter.NoStep); err != nil {
			return nil, err
		}
	}
	if high > 0 { // whole powers of ten, and half a one more for the legend
		drawn.Y.Min, drawn.Y.Max = math.Pow(10, math.Floor(math.Log10(low))), 3*math.Pow(10, math.Ceil(math.Log10(high)))
	}
	return drawn, nil
}

func (b *bench) points(set string, l line) (points plotter.XYs) {
	for _, r := range b.rows {
		if r.set != set || r.what != l.what {
			continue
		}
		y := r.cost
		if l.yardstick {
			y = r.yardstick
		}
		points = append(points, plotter.XY{X: float64(r.size), Y: y})
	}
	return points
}
