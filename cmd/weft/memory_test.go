package main

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestGarbage(t *testing.T) {
	for inUse, want := range map[uint64][2]int{
		0: {200, 200}, 1 << 20: {200, 200}, 4 << 20: {200, 200}, 5 << 20: {150, 150}, 8 << 20: {100, 100},
		15 << 20: {50, 50}, 20 << 20: {50, 25}, 64 << 20: {50, 25}, 1 << 40: {50, 25},
	} {
		if got := [...]int{garbage(inUse, frugal), garbage(inUse, idle)}; got != want {
			t.Errorf("%d bytes in use: got %d percent, want %d", inUse, got, want)
		}
	}
}

// TestCalm checks what is done to the heap behind a start, behind small and large
// changes, and while nothing but measurements comes.
func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var did []string
		begin, size := time.Now(), uint64(100<<20)
		do := func(what string) { did = append(did, fmt.Sprintf("%.0f s: %s", time.Since(begin).Seconds(), what)) }
		c := &calm{heap: heap{
			inUse:    func() uint64 { return 40 << 20 },
			size:     func() uint64 { return size },
			set:      func(percent int) { do(fmt.Sprintf("%d percent", percent)) },
			giveBack: func() { do("given back"); size = 60 << 20 },
		}}
		wants := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(did, want) {
				t.Errorf("did %q, want %q", did, want)
			}
			did = nil
		}
		sleep := func(until int) { time.Sleep(time.Until(begin.Add(time.Duration(until) * time.Second))) }
		c.touched()
		sleep(10)
		wants() // there are no rules yet
		c.loaded()
		c.loaded()
		sleep(20)
		wants("10 s: 50 percent", "12 s: 25 percent", "12 s: given back")
		size += grownBy - 1
		c.loaded()
		sleep(60)
		wants("20 s: 50 percent", "42 s: 25 percent") // calmPause behind the start
		size++
		for range 10 { // a burst
			c.loaded()
			c.touched()
			time.Sleep(calmAfter - time.Second)
		}
		wants("60 s: 50 percent")
		sleep(110)
		wants("101 s: 25 percent", "101 s: given back")
		sleep(200)
		size += 2 * grownBy
		c.touched() // measurements alone
		sleep(210)
		wants("205 s: given back")
	})
}
