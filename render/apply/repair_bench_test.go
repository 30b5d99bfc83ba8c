package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/templates"
)

// BenchmarkRepair is the time from a foreign `nft flush ruleset`, its own run
// included, to rules that are proven again. of-load is the median of its ratios to
// the bare nft -f of the same rules in the same turn.
func BenchmarkRepair(b *testing.B) {
	for _, set := range templates.Names() {
		for _, size := range []int{1, 100, nodePorts} {
			b.Run(fmt.Sprintf("%s/%d", set, size), func(b *testing.B) { repair(b, set, size) })
		}
	}
}

// unhurried is a time between two repairs in which nobody sees a fight.
const unhurried = 2100 * time.Millisecond

func repair(b *testing.B, set string, size int) {
	st := crowd(size)
	e := newEngine(b, set, st)
	loaded, err := render.Load(set)
	if err != nil {
		b.Fatal(err)
	}
	desired, err := apply.Desire(b.Context(), loaded, st, render.DefaultVars())
	if err != nil {
		b.Fatal(err)
	}
	var ratios []float64
	for b.Loop() {
		start := time.Now()
		if _, err := e.ns.Run("nft", "flush", "ruleset"); err != nil {
			b.Fatal(err)
		}
		<-e.proven
		took := time.Since(start)
		b.StopTimer()
		ratios = append(ratios, took.Seconds()/bareLoad(b, desired.Text()).Seconds())
		time.Sleep(unhurried - took)
		b.StartTimer()
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-load")
}

// bareLoad is the time that nft -f takes for a text where nothing is loaded yet.
func bareLoad(b *testing.B, text string) time.Duration {
	b.Helper()
	ns := labtest.Scratch(b)
	file := filepath.Join(b.TempDir(), "bare.nft")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if _, err := ns.Run("nft", "-f", file); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
