package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"weft/state/status"
)

// TestAwaits is an applier whose watcher has no first state for hours, because the
// API server is away: it is live and not ready.
func TestAwaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent{status: status.New("n1", "weft run", "", status.Applier)}
		ctx, stop := context.WithCancel(t.Context())
		first, began := make(chan struct{}), make(chan bool, 1)
		go func() { began <- a.awaits(ctx, first) }()
		time.Sleep(5 * time.Hour)
		if h := a.status.Health(); !h.Live || h.Ready {
			t.Errorf("waiting for five hours: %+v", h)
		}
		close(first)
		if !<-began {
			t.Error("there is a state, and the applier does not begin")
		}
		go func() { began <- a.awaits(ctx, nil) }()
		synctest.Wait()
		stop()
		if <-began {
			t.Error("told to stop, and the applier begins")
		}
	})
}
