// Package chart draws lines over time, one plot below the other, as the simulation
// and the benchmark in the kernel show shares and response times.
package chart

import (
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a picture with two plots, and of each one beyond.
const (
	width  = 22 * vg.Centimeter
	height = 8 * vg.Centimeter
)

// New is an empty plot over seconds.
func New(title, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "time, s", y
	p.Legend.Top, p.Legend.XOffs, p.Legend.YOffs = true, -2, -2
	p.Legend.TextStyle.Font.Size = 9
	p.Add(plotter.NewGrid())
	return p
}

// LogScale is for times that range from milliseconds to the patience of clients.
func LogScale(p *plot.Plot) {
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Min, p.Y.Max = 0.01, 10
}

// AddLine adds a line in the i-th colour.
func AddLine(p *plot.Plot, name string, points plotter.XYs, i int, step plotter.StepKind) error {
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

// Save draws plots one below the other.
func Save(path, format string, plots ...*plot.Plot) error {
	canvas, err := newCanvas(format, height*vg.Length(max(2, len(plots))))
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

func newCanvas(format string, height vg.Length) (vg.CanvasWriterTo, error) {
	switch format {
	case "svg":
		return vgsvg.New(width, height), nil
	case "png":
		return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseBackgroundColor(color.White))}, nil
	}
	return nil, fmt.Errorf("got the format %q, expected svg or png", format)
}
