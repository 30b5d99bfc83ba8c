package chart

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Mark is a vertical line at a time, and a word at its right that says what happened.
type Mark struct {
	X    float64
	Text string
}

// Plot implements [plot.Plotter].
func (m Mark) Plot(c draw.Canvas, p *plot.Plot) {
	grey := color.Gray{Y: 110}
	toX, _ := p.Transforms(&c)
	x := toX(m.X)
	c.StrokeLine2(draw.LineStyle{Color: grey, Width: vg.Points(0.6), Dashes: []vg.Length{vg.Points(3), vg.Points(3)}}, x, c.Min.Y, x, c.Max.Y)
	style := p.Legend.TextStyle
	style.Color, style.XAlign, style.YAlign = grey, draw.XLeft, draw.YTop
	c.FillText(style, vg.Point{X: x + vg.Points(2), Y: c.Max.Y - vg.Points(1)}, m.Text)
}
