package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a picture: shares above, response times below, over the same time.
const (
	width  = 22 * vg.Centimeter
	height = 16 * vg.Centimeter
)

// plotShares draws what one policy did: the shares that the first agent gave each
// node, and the response times of all requests.
func plotShares(folder, format string, s *scenario, p policy, r *result) error {
	shares := newPlot(fmt.Sprintf("%s, %s: %s", s.name, p.name, s.about), "share of new connections")
	shares.Y.Min = 0
	for i, n := range s.nodes {
		line := make(plotter.XYs, len(r.shares))
		for j, at := range r.shares {
			line[j] = plotter.XY{X: at.t, Y: at.shares[i]}
		}
		if err := addLine(shares, fmt.Sprintf("node %d, %d cores", i, n.cores), line, i, plotter.PostStep); err != nil {
			return err
		}
	}
	times := newPlot("", "response time, s")
	for i, part := range []struct {
		name string
		q    float64
	}{{"mean", -1}, {"median", 0.5}, {"p99", 0.99}} {
		if err := addLine(times, part.name, r.over(part.q), i, plotter.NoStep); err != nil {
			return err
		}
	}
	logScale(times)
	return save(filepath.Join(folder, fmt.Sprintf("%s-%s.%s", s.name, file(p.name), format)), format, shares, times)
}

// plotPolicies compares the response times of several policies.
func plotPolicies(folder, format string, s *scenario, by []policy, results []*result) error {
	means, tails := newPlot(s.name+": "+s.about, "mean response time, s"), newPlot("", "p99, s")
	for i, p := range by {
		if err := addLine(means, p.name, results[i].over(-1), i, plotter.NoStep); err != nil {
			return err
		}
		if err := addLine(tails, p.name, results[i].over(0.99), i, plotter.NoStep); err != nil {
			return err
		}
	}
	logScale(means)
	logScale(tails)
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

func newPlot(title, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "time, s", y
	p.Legend.Top, p.Legend.XOffs, p.Legend.YOffs = true, -2, -2
	p.Legend.TextStyle.Font.Size = 9
	p.Add(plotter.NewGrid())
	return p
}

// logScale is for times that range from milliseconds to the patience of clients.
func logScale(p *plot.Plot) {
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Min, p.Y.Max = 0.01, 10
}

func addLine(p *plot.Plot, name string, points plotter.XYs, i int, step plotter.StepKind) error {
	if len(points) == 0 {
		return nil
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return fmt.Errorf("draw %s: %w", name, err)
	}
	line.StepStyle = step
	line.Width = vg.Points(1.2)
	line.Color = colours[i%len(colours)]
	if i >= len(colours) {
		line.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
	}
	p.Add(line)
	p.Legend.Add(name, line)
	return nil
}

// colours can be told apart also by those who see fewer (Okabe and Ito).
var colours = [...]color.Color{
	color.RGBA{0, 114, 178, 255},
	color.RGBA{213, 94, 0, 255},
	color.RGBA{0, 158, 115, 255},
	color.RGBA{204, 121, 167, 255},
	color.RGBA{230, 159, 0, 255},
	color.RGBA{86, 180, 233, 255},
	color.RGBA{60, 60, 60, 255},
}

// save draws plots one below the other.
func save(path, format string, plots ...*plot.Plot) error {
	canvas, err := newCanvas(format)
	if err != nil {
		return err
	}
	rows := make([][]*plot.Plot, len(plots))
	for i, p := range plots {
		rows[i] = []*plot.Plot{p}
	}
	whole := draw.New(canvas)
	tiles := plot.Align(rows, draw.Tiles{Rows: len(plots), Cols: 1, PadY: vg.Millimeter * 3, PadRight: vg.Millimeter * 3}, whole)
	for i, p := range plots {
		p.Draw(tiles[i][0])
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write a plot: %w", err)
	}
	if _, err := canvas.WriteTo(f); err != nil {
		_ = f.Close() // the first error is the one to tell
		return fmt.Errorf("write a plot: %w", err)
	}
	return f.Close()
}

func newCanvas(format string) (vg.CanvasWriterTo, error) {
	switch format {
	case "svg":
		return vgsvg.New(width, height), nil
	case "png":
		return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseBackgroundColor(color.White))}, nil
	}
	return nil, fmt.Errorf("got the format %q, expected svg or png", format)
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
		if !chosen[i].plot && o.scenarios == "" {
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
