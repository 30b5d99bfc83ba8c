package preflight

import "testing"

func TestRoom(t *testing.T) {
	cases := []struct {
		entries, size int
		want          Level
	}{{0, 100, OK}, {90, 100, OK}, {91, 100, Warning}, {5, 0, OK}}
	for _, c := range cases {
		if got := room("connection tracking", c.entries, c.size).Level; got != c.want {
			t.Errorf("%d of %d: %v, want %v", c.entries, c.size, got, c.want)
		}
	}
}
