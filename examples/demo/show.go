package main

import (
	"fmt"
	"strings"
	"time"

	"weft/examples/lab"
)

// barWidth is the length of a bar for all connections.
const barWidth = 50

// table shows the share that each endpoint got beside the one asked for.
func table(endpoints []endpoint, asked map[string]float64, got map[string]int) string {
	n := total(got)
	var text strings.Builder
	fmt.Fprintf(&text, "   %-8s  %-11s  %8s  %8s  %5s\n", "endpoint", "address", "asked", "got", "count")
	for _, e := range endpoints {
		share := float64(got[e.Name]) / float64(max(n, 1))
		fmt.Fprintf(&text, "   %-8s  %-11v  %6.1f %%  %6.1f %%  %5d  %s\n",
			e.Name, e.Address, 100*asked[e.Name], 100*share, got[e.Name], bar(share))
	}
	return text.String()
}

// bar is a bar of a share, rounded to the half of a block.
func bar(share float64) string {
	halves := int(share*2*barWidth + 0.5)
	return strings.Repeat("█", halves/2) + strings.Repeat("▌", halves%2)
}

// explained is an error if the counts cannot have come from the shares.
func explained(asked map[string]float64, got map[string]int) error {
	n := total(got)
	for name, k := range got {
		if least, most := lab.Chance(n, asked[name]); k < least || k > most {
			return fmt.Errorf("%s got %d connections of %d: chance alone keeps it within %d to %d", name, k, n, least, most)
		}
	}
	for name, share := range asked {
		if least, _ := lab.Chance(n, share); got[name] < least {
			return fmt.Errorf("%s got %d connections of %d, and should have at least %d", name, got[name], n, least)
		}
	}
	return nil
}

func total(counts map[string]int) int {
	n := 0
	for _, k := range counts {
		n += k
	}
	return n
}

// indent moves every line that is not empty to the right.
func indent(text string) string {
	var moved strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(text, "\t", "    ")) {
		if line != "\n" {
			line = "   " + line
		}
		moved.WriteString(line)
	}
	return moved.String()
}

// millis is a duration in whole milliseconds.
func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// thousands writes 2000 as 2,000; for numbers below a million.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
