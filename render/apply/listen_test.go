package apply_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"weft/render/apply"
	"weft/render/nft"
)

// faulty hands out real subscriptions that a test can break, and fails to when
// told so.
type faulty struct {
	mu      sync.Mutex
	refuse  error
	current *breakable
	opened  int
}

func (f *faulty) subscribe(table string, own *nft.Own) (apply.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	if f.refuse != nil {
		return nil, f.refuse
	}
	real, err := apply.Subscribe(table, own)
	if err != nil {
		return nil, err
	}
	f.current = &breakable{Subscription: real, broken: make(chan error, 1)}
	return f.current, nil
}

// fail breaks the subscription that is in use; new ones fail with refuse.
func (f *faulty) fail(refuse error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
	f.current.broken <- errors.New("netlink: bad file descriptor")
}

func (f *faulty) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = nil
}

func (f *faulty) tries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

// breakable is a subscription whose Run ends with what is sent to broken.
type breakable struct {
	apply.Subscription
	broken chan error
}

func (b *breakable) Run(ctx context.Context, changed func(nft.Event)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.Subscription.Run(ctx, changed) }()
	select {
	case err := <-b.broken:
		cancel()
		return errors.Join(err, <-done)
	case err := <-done:
		return err
	}
}

// TestListensAgain breaks the notifications for good: what is changed while
// nobody hears is found by looking, and heard at once when they are back.
func TestListensAgain(t *testing.T) {
	f := &faulty{}
	r := start(t, nil, func(l *apply.Loop) { l.ListenWith(f.subscribe) })
	r.next()
	f.fail(errors.New("no socket"))
	await(t, "a try to listen again", func() bool { return f.tries() >= 3 })
	damage := func() {
		t.Helper()
		if _, err := r.ns.Run("nft", "flush chain ip weft services"); err != nil {
			t.Fatal(err)
		}
		r.next()
		r.kernelHolds("vmap @service-nodeports")
	}
	damage()
	f.heal()
	await(t, "the end of the complaint", func() bool { return r.logged("stage=listen") > 0 })
	tries := f.tries()
	damage()
	if f.tries() != tries {
		t.Error("the change was found by listening anew, not by hearing of it")
	}
	if n := r.logged("changes by others are not heard of"); n < 1 || n > 2 {
		t.Errorf("that nobody hears was said %d times, want once for each reason", n)
	}
	r.stop()
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestNeverListens has notifications that never work: the rules are loaded and
// proven all the same.
func TestNeverListens(t *testing.T) {
	f := &faulty{refuse: errors.New("no socket")}
	r := start(t, nil, func(l *apply.Loop) { l.ListenWith(f.subscribe) })
	r.next()
	r.write("state.yaml", stateText("0.8", "0.2"))
	r.changes <- apply.StateChanged
	r.next()
	r.kernelHolds("numgen random mod 100 < 80")
	r.stop()
}
