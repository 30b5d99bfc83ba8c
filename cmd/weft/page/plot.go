package page

import (
	"math"
	"strconv"
	"strings"

	"weft/cmd/weft/overview"
	"weft/state/status"
)

// The size of a plot, in its own units, and what it spans.
const (
	plotWidth  = 240
	plotHeight = 48
	plotTime   = 3600 // seconds
	// plotGap is the time without a sample from which the line is broken.
	plotGap = 150
)

// plot is a line over the last hour.
type plot struct {
	// Label says in words what the line shows, for who does not see it.
	Label string
	// Lines are its parts: between them nothing is known. Areas lie below them.
	Lines, Areas []string
	// X and Y are the last point; Known is false if there is none.
	X, Y  string
	Known bool
	// Top is the value at the upper edge.
	Top string
}

// point is a value at a time; NaN is not known.
type point struct {
	unix  int64
	value float64
}

func latencies(samples []status.Sample) []point {
	return points(samples, func(s status.Sample) float32 { return s.Latency })
}

func usages(samples []status.Sample) []point {
	return points(samples, func(s status.Sample) float32 { return s.CPU })
}

func points(samples []status.Sample, value func(status.Sample) float32) []point {
	list := make([]point, len(samples))
	for i, s := range samples {
		list[i] = point{s.Unix, float64(value(s))}
	}
	return list
}

// newPlot draws points up to a top, which grows with them if it is 0.
func newPlot(name string, list []point, now int64, top float64, words func(float64) string) plot {
	low, high, last, known := math.Inf(1), 0.0, 0.0, false
	for _, p := range list {
		if !math.IsNaN(p.value) {
			low, high, last, known = min(low, p.value), max(high, p.value), p.value, true
		}
	}
	if !known {
		return plot{Label: name + ": nothing was measured in the last hour"}
	}
	if top == 0 {
		top = nice(high)
	}
	pl := plot{
		Known: true, Top: words(top),
		Label: name + " in the last hour: now " + words(last) + ", least " + words(low) + ", most " + words(high),
	}
	pl.draw(list, now, top)
	return pl
}

func (pl *plot) draw(list []point, now int64, top float64) {
	var line []string
	var start string
	end := func() {
		if len(line) == 1 {
			line = append(line, line[0]) // drawn as a dot
		}
		if len(line) > 0 {
			pl.Lines = append(pl.Lines, strings.Join(line, " "))
			pl.Areas = append(pl.Areas, start+","+strconv.Itoa(plotHeight)+" "+strings.Join(line, " ")+" "+pl.X+","+strconv.Itoa(plotHeight))
		}
		line = nil
	}
	before := int64(0)
	for _, p := range list {
		if math.IsNaN(p.value) || p.unix-before > plotGap {
			end()
		}
		if math.IsNaN(p.value) || p.unix < now-plotTime {
			continue
		}
		pl.X = coordinate(plotWidth * (1 - float64(now-p.unix)/plotTime))
		pl.Y = coordinate(plotHeight - 2 - (plotHeight-4)*p.value/top)
		if line == nil {
			start = pl.X
		}
		line, before = append(line, pl.X+","+pl.Y), p.unix
	}
	end()
}

func coordinate(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// nice is the next of 1, 2 and 5 times a power of 10 above a value.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*unit {
			return m * unit
		}
	}
	return 10 * unit
}

func latencyPlot(samples []status.Sample, now int64) plot {
	return newPlot("Latency", latencies(samples), now, 0, overview.Milliseconds)
}

func usagePlot(samples []status.Sample, now int64) plot {
	return newPlot("CPU", usages(samples), now, 1, overview.Percent)
}
