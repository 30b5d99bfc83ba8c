package status

import (
	"slices"
	"sort"
	"time"
)

// Bounds are the upper bounds of a [Histogram]'s buckets in seconds: those of
// kube-proxy's sync_proxy_rules_duration_seconds, 1 ms doubled up to 16.384 s.
func Bounds() []float64 {
	bounds := make([]float64, 15)
	for i := range bounds {
		bounds[i] = 0.001 * float64(int(1)<<i)
	}
	return bounds
}

// Histogram counts durations.
type Histogram struct {
	// Counts are those of each bucket alone; one more than Bounds, for what is
	// longer than all of them.
	Counts []uint64
	Count  uint64
	// Sum is in seconds.
	Sum float64
}

func (h *Histogram) add(d time.Duration) {
	if h.Counts == nil {
		h.Counts = make([]uint64, len(bounds)+1)
	}
	seconds := d.Seconds()
	h.Counts[sort.SearchFloat64s(bounds, seconds)]++
	h.Count++
	h.Sum += seconds
}

func (h *Histogram) clone() Histogram {
	return Histogram{Counts: slices.Clone(h.Counts), Count: h.Count, Sum: h.Sum}
}

// bounds are never changed.
var bounds = Bounds()
