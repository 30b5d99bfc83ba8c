package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// row is a line of the table: a cost, and that of its yardstick, if it has one.
type row struct {
	set             string
	size            int
	what, against   string
	cost, yardstick float64
	ratio           float64 // median of those of each pair; 0 is cost / yardstick
	unit            string  // "s", "B", "/s" or "% of a core"
	rounds          int
}

// pairs are times of weft and of the yardstick, taken in turn.
type pairs struct{ ours, theirs, ratios []float64 }

func (p *pairs) add(ours, theirs time.Duration) {
	p.ours, p.theirs = append(p.ours, ours.Seconds()), append(p.theirs, theirs.Seconds())
	p.ratios = append(p.ratios, ours.Seconds()/theirs.Seconds())
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func (p *place) add(r row) {
	r.set, r.size = p.set, p.size
	p.rows = append(p.rows, r)
	fmt.Fprintln(p.log, "  "+strings.Join(r.cells()[2:], "  "))
}

func (p *place) took(what, against string, t pairs) {
	p.add(row{what: what, against: against, cost: median(t.ours), yardstick: median(t.theirs), ratio: median(t.ratios), unit: "s", rounds: len(t.ours)})
}

func (p *place) seconds(what string, list []float64) {
	p.add(row{what: what, cost: median(list), unit: "s", rounds: len(list)})
}

func (p *place) bytes(what, against string, ours, theirs []float64) {
	p.add(row{what: what, against: against, cost: median(ours), yardstick: median(theirs), unit: "B", rounds: len(ours)})
}

func (r row) cells() []string {
	cells := []string{r.set, fmt.Sprint(r.size), r.what, r.number(r.cost), "", "", ""}
	if r.against != "" {
		ratio := r.ratio
		if ratio == 0 && r.yardstick > 0 {
			ratio = r.cost / r.yardstick
		}
		cells[4], cells[5], cells[6] = r.against, r.number(r.yardstick), fmt.Sprintf("%.2f", ratio)
	}
	return cells
}

func (r row) number(v float64) string {
	switch {
	case r.unit == "s" && v < 1e-4:
		return fmt.Sprintf("%.2f µs", v*1e6)
	case r.unit == "s" && v < 1:
		return fmt.Sprintf("%.1f ms", v*1e3)
	case r.unit == "s":
		return fmt.Sprintf("%.2f s", v)
	case r.unit == "B":
		return fmt.Sprintf("%.1f MB", v/1e6)
	case r.unit == "/s":
		return fmt.Sprintf("%.0f/s", v)
	}
	return fmt.Sprintf("%.2f %s", v, r.unit)
}

// publish prints the table, and writes it and the plots into the folder.
func (b *bench) publish(stdout io.Writer) error {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	table := b.table()
	if _, err := io.WriteString(stdout, table); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, "scale.md"), []byte(table), 0o644); err != nil {
		return err
	}
	return b.plots()
}

// table is all rows in Markdown, in columns.
func (b *bench) table() string {
	lines := [][]string{{"set", "ServicePorts", "what", "cost", "yardstick", "its cost", "ratio"}}
	for _, r := range b.rows {
		lines = append(lines, r.cells())
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var text strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			text.WriteString("| " + cell + strings.Repeat(" ", widths[i]-len([]rune(cell))) + " ")
		}
		text.WriteString("|\n")
		for i := 0; n == 0 && i < len(widths); i++ {
			text.WriteString("|" + strings.Repeat("-", widths[i]+2))
		}
		if n == 0 {
			text.WriteString("|\n")
		}
	}
	return text.String()
}
