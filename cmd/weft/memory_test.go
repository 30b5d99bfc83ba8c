package main

import "testing"

func TestGarbage(t *testing.T) {
	for inUse, want := range map[uint64]int{0: 200, 1 << 20: 200, 4 << 20: 200, 5 << 20: 150, 8 << 20: 100, 15 << 20: 50, 64 << 20: 50, 1 << 40: 50} {
		if got := garbage(inUse); got != want {
			t.Errorf("%d bytes in use: got %d percent, want %d", inUse, got, want)
		}
	}
}
