package apply

import "time"

// The wait before what failed is tried again: it doubles from the first to the
// last.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// backoff is a timer for what is tried again and again.
type backoff struct {
	*time.Timer
	wait time.Duration
}

// newBackoff is a backoff of which nothing is due.
func newBackoff() *backoff {
	b := &backoff{Timer: time.NewTimer(time.Hour)}
	b.Stop()
	return b
}

// again sets the time of the next try.
func (b *backoff) again() {
	b.wait = min(max(2*b.wait, firstRetry), lastRetry)
	b.Reset(b.wait)
}

// over ends the trying.
func (b *backoff) over() {
	b.wait = 0
	b.Stop()
}
