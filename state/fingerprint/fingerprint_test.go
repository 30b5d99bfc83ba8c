package fingerprint

import (
	"bytes"
	"hash/maphash"
	"testing"
)

func TestBegins(t *testing.T) {
	seed := maphash.MakeSeed()
	var known []Print
	for _, text := range []string{"a\n", "b\n", "c\n", "d\n", "e\n", "f\n"} {
		known = append(known, Of([]byte(text), seed))
	}
	line := func(part, rest []byte) bool { return bytes.HasSuffix(part, []byte("\n")) }
	for _, c := range []struct {
		name, text string
		expected   int
		want       int
	}{
		{"where it was", "c\nx\n", 2, 2},
		{"one before", "c\n", 3, 2},
		{"one behind", "c\n", 1, 2},
		{"two before", "c\n", 4, 2},
		{"two behind", "c\n", 0, 2},
		{"too far", "c\n", 5, -1},
		{"another one", "x\n", 2, -1},
		{"shorter than any", "c", 2, -1},
		{"longer than it was", "cc\n", 2, -1},
		{"nothing", "", 0, -1},
		{"behind the last", "f\n", 6, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Begins([]byte(c.text), len(known), func(i int) Print { return known[i] }, c.expected, seed, line); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
	never := func(_, _ []byte) bool { return false }
	if got := Begins([]byte("c\n"), len(known), func(i int) Print { return known[i] }, 2, seed, never); got != -1 {
		t.Errorf("got %d where no part ends", got)
	}
}
