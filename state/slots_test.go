package state

import (
	"math"
	"math/rand"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func withShares(shares ...float64) []Endpoint {
	eps := make([]Endpoint, len(shares))
	for i, s := range shares {
		eps[i] = Endpoint{Address: netip.AddrFrom4([4]byte{10, 42, byte(i >> 8), byte(i)}), Port: 8080, Share: s}
	}
	return eps
}

func TestModulus(t *testing.T) {
	tests := map[string]struct {
		shares []float64
		want   int
		exact  bool
	}{
		"hundredths":              {[]float64{0.5, 0.25, 0.25}, 100, true},
		"one":                     {[]float64{1}, 100, true},
		"drained":                 {[]float64{1, 0}, 100, true},
		"thirds need thousandths": {[]float64{1. / 3, 1. / 3, 1. / 3}, 1000, true},
		"a hundredth exactly":     {[]float64{0.01, 0.99}, 100, true},
		"a small share":           {[]float64{0.001, 0.999}, 1000, true},
		"a smaller share":         {[]float64{0.0001, 0.9999}, 10000, true},
		"within 1 percent":        {[]float64{0.504, 0.496}, 100, true},
		"just not within":         {[]float64{0.1015, 0.8985}, 1000, true},
		"a tie with both ways":    {[]float64{0.505, 0.495}, 1000, true},
		// With 1000 slots, these have a remainder of a quarter each, for one slot:
		// the last endpoint is within 1 % only on nodes where it does not get it.
		"a tie that is worse one way": {[]float64{5. / 32, 9. / 32, 17. / 32, 1. / 32}, 10000, true},
		"too small for any":           {[]float64{1e-9, 1 - 1e-9}, 65536, false},
		"not a number":                {[]float64{math.NaN(), 1}, 65536, false},
		"none":                        {nil, 65536, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, exact := Modulus(withShares(tt.shares...)); got != tt.want || exact != tt.exact {
				t.Errorf("got %d %t, want %d %t", got, exact, tt.want, tt.exact)
			}
		})
	}
}

func TestSlots(t *testing.T) {
	tests := map[string]struct {
		shares  []float64
		modulus int
		want    []int
	}{
		"exact":                    {[]float64{0.5, 0.25, 0.25}, 100, []int{50, 25, 25}},
		"largest remainder":        {[]float64{0.626, 0.374}, 10, []int{6, 4}},
		"at least one":             {[]float64{1e-12, 1 - 1e-12}, 100, []int{1, 99}},
		"drained has none":         {[]float64{0, 1}, 100, []int{0, 100}},
		"as many as slots":         {[]float64{0.97, 0.01, 0.02}, 3, []int{1, 1, 1}},
		"decimals add up":          {[]float64{0.07, 0.33, 0.6}, 100, []int{7, 33, 60}},
		"the smallest float is 1":  {[]float64{5e-324, 1}, 65536, []int{1, 65535}},
		"shares that sum to 1-1e6": {[]float64{0.499999, 0.5}, 65536, []int{32768, 32768}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Slots("n", withShares(tt.shares...), tt.modulus)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestSlotsErrors(t *testing.T) {
	tests := map[string]struct {
		eps     []Endpoint
		modulus int
		want    string
	}{
		"too many":     {withShares(0.5, 0.25, 0.25), 2, "more endpoints with a share than the modulus 2 has slots"},
		"all drained":  {withShares(0, 0), 100, "no endpoint has a share above 0"},
		"none":         {nil, 100, "no endpoint has a share above 0"},
		"not a number": {withShares(math.NaN()), 100, "endpoint 10.42.0.0:8080 has the share NaN, expected 0 to 1"},
		"negative":     {withShares(-0.5), 100, "endpoint 10.42.0.0:8080 has the share -0.5, expected 0 to 1"},
		"infinite":     {withShares(math.Inf(1)), 100, "endpoint 10.42.0.0:8080 has the share +Inf, expected 0 to 1"},
		"modulus 0":    {withShares(1), 0, "modulus 0, expected 1 to 65536"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Slots("n", tt.eps, tt.modulus); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// Agents with other names must give the odd slot to other endpoints.
func TestSlotsTiesDifferByNode(t *testing.T) {
	eps := withShares(1./3, 1./3, 1./3)
	favoured := map[int]int{}
	for i := range 300 {
		got, err := Slots("node-"+string(rune('a'+i%26))+string(rune('a'+i/26)), eps, 100)
		if err != nil {
			t.Fatal(err)
		}
		favoured[slices.Index(got, 34)]++
	}
	for i := range eps {
		if favoured[i] < 60 {
			t.Errorf("endpoint %d has the odd slot on %d of 300 nodes, want about 100", i, favoured[i])
		}
	}
}

func drawEndpoints(t *rapid.T) []Endpoint {
	weights := rapid.SliceOfN(rapid.OneOf(
		rapid.Float64Range(0, 1), rapid.Float64Range(1e-12, 1e-6),
		rapid.SampledFrom([]float64{0, 1, 0.5, 0.25, 1. / 3, 0.1}),
	), 1, 90).Draw(t, "weights")
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	if sum == 0 {
		weights[0], sum = 1, 1
	}
	for i := range weights {
		weights[i] /= sum
	}
	return withShares(weights...)
}

func TestSlotsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		eps := drawEndpoints(t)
		modulus := rapid.SampledFrom(moduli[:]).Draw(t, "modulus")
		slots, err := Slots("node", eps, modulus)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for i, s := range slots {
			sum += s
			if (s == 0) != (eps[i].Share == 0) {
				t.Fatalf("share %v has %d slots", eps[i].Share, s)
			}
			for j := range slots {
				if eps[i].Share < eps[j].Share && s > slots[j] {
					t.Fatalf("share %v has %d slots, share %v only %d", eps[i].Share, s, eps[j].Share, slots[j])
				}
			}
		}
		if sum != modulus {
			t.Fatalf("sum %d, want %d", sum, modulus)
		}
		isInvariant(t, eps, slots, modulus)
	})
}

// isInvariant deals to the same endpoints in another order.
func isInvariant(t *rapid.T, eps []Endpoint, slots []int, modulus int) {
	order := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Perm(len(eps))
	shuffled := make([]Endpoint, len(eps))
	for to, from := range order {
		shuffled[to] = eps[from]
	}
	got, err := Slots("node", shuffled, modulus)
	if err != nil {
		t.Fatal(err)
	}
	for to, from := range order {
		if got[to] != slots[from] {
			t.Fatalf("%s has %d slots, in another order %d", eps[from].Address, slots[from], got[to])
		}
	}
}

// What Modulus promises must hold for the slots that Slots deals out, on any node.
func TestModulusKeepsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		eps := drawEndpoints(t)
		modulus, exact := Modulus(eps)
		if !exact {
			return
		}
		slots, err := Slots(rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "node"), eps, modulus)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range eps {
			if off := math.Abs(float64(slots[i])/float64(modulus) - e.Share); off > precision*e.Share+1e-9 {
				t.Fatalf("share %v has %d of %d slots", e.Share, slots[i], modulus)
			}
		}
	})
}

func TestSlotsAllocations(t *testing.T) {
	eps := withShares(0.1, 0.2, 0.3, 0.15, 0.05, 0.02, 0.03, 0.05, 0.05, 0.05)
	if n := testing.AllocsPerRun(100, func() { Modulus(eps); _, _ = Slots("node", eps, 100) }); n > 1 {
		t.Errorf("%v allocations, want the result alone", n)
	}
}

func BenchmarkModulusAndSlots(b *testing.B) {
	eps := withShares(0.1, 0.2, 0.3, 0.15, 0.05, 0.02, 0.03, 0.05, 0.05, 0.05)
	b.ReportAllocs()
	for b.Loop() {
		m, _ := Modulus(eps)
		_, _ = Slots("node", eps, m)
	}
}
