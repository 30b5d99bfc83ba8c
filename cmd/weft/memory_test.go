package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGarbage(t *testing.T) {
	for inUse, want := range map[uint64][2]int{
		0: {200, 200}, 1 << 20: {200, 200}, 4 << 20: {200, 195}, 5 << 20: {150, 150}, 8 << 20: {100, 90},
		15 << 20: {50, 45}, 20 << 20: {50, 30}, 64 << 20: {50, 15}, 1 << 40: {50, 15},
	} {
		if got := [...]int{garbage(inUse, frugal), garbage(inUse, idle)}; got != want {
			t.Errorf("%d bytes in use: got %d percent, want %d", inUse, got, want)
		}
	}
}

// locked is a value for goroutines that do not wait for each other.
type locked[T any] struct {
	mu    sync.Mutex
	value T
}

func (l *locked[T]) change(f func(T) T) T {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = f(l.value)
	return l.value
}

// TestCalm checks what is done to the heap behind a start, behind small and large
// changes, and while nothing but measurements comes.
func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var did locked[[]string]
		var size locked[uint64]
		size.change(func(uint64) uint64 { return 100 << 20 })
		begin := time.Now()
		do := func(what string) {
			did.change(func(list []string) []string {
				return append(list, fmt.Sprintf("%.0f s: %s", time.Since(begin).Seconds(), what))
			})
		}
		grow := func(by uint64) { size.change(func(n uint64) uint64 { return n + by }) }
		c := &calm{heap: heap{
			inUse: func() uint64 { return 40 << 20 },
			size:  func() uint64 { return size.change(func(n uint64) uint64 { return n }) },
			set:   func(percent int) { do(fmt.Sprintf("%d percent", percent)) },
			giveBack: func() {
				do("given back")
				size.change(func(uint64) uint64 { return 60 << 20 })
			},
		}}
		wants := func(want ...string) {
			t.Helper()
			did.change(func(list []string) []string {
				if !slices.Equal(list, want) {
					t.Errorf("did %q, want %q", list, want)
				}
				return nil
			})
		}
		sleep := func(until int) {
			time.Sleep(time.Until(begin.Add(time.Duration(until) * time.Second)))
			synctest.Wait()
		}
		c.touched()
		sleep(10)
		wants() // there are no rules yet
		c.loaded()
		c.loaded()
		sleep(20)
		wants("10 s: 50 percent", "12 s: 15 percent", "12 s: given back")
		sleep(50)
		wants("42 s: given back") // calmPause behind the start
		grow(grownBy - 1)
		c.loaded()
		sleep(100)
		wants("50 s: 50 percent", "72 s: 15 percent") // calmPause behind that
		grow(1)
		for range 10 { // a burst
			c.loaded()
			c.touched()
			time.Sleep(calmAfter - time.Second)
		}
		wants("100 s: 50 percent")
		sleep(150)
		wants("141 s: 15 percent", "141 s: given back")
		sleep(200)
		grow(2 * grownBy)
		c.touched() // measurements alone
		sleep(210)
		wants("205 s: given back")
	})
}
