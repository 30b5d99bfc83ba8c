package apply

import (
	"context"
	"fmt"
	"sync"
	"time"

	"weft/render/nft"
)

// listener hears what anybody does to the tables with one name, weft's own
// transactions included. Its goroutine only reads and keeps; what to do is the
// loop's to decide. All methods are the loop's.
type listener struct {
	own       *nft.Own
	subscribe subscriber
	// news has a notice while there is something to look at.
	news chan struct{}

	table string
	sub   subscription // nil while nothing is heard
	stop  func()
	done  sync.WaitGroup

	mu     sync.Mutex
	events []nft.Event
	count  uint64 // of all events, and of times that listening began
	failed error  // why it ended by itself
}

// subscriber listens to the tables with a name.
type subscriber func(table string, own *nft.Own) (subscription, error)

// subscription is what a [nft.Subscription] does.
type subscription interface {
	Run(ctx context.Context, changed func(nft.Event)) error
	Heard(ctx context.Context, generation uint32) error
	Close() error
}

func newListener(own *nft.Own, how subscriber) *listener {
	if how == nil {
		how = subscribeToKernel
	}
	return &listener{own: own, subscribe: how, news: make(chan struct{}, 1), stop: func() {}}
}

func subscribeToKernel(table string, own *nft.Own) (subscription, error) {
	sub, err := nft.Subscribe(table, own)
	if err != nil {
		return nil, err // not sub: an interface that holds nil is not nil
	}
	return sub, nil
}

// start listens to the tables with the name, and reports whether it did not
// before: then something may have happened that was not heard.
func (li *listener) start(ctx context.Context, table string) (began bool, err error) {
	if li.sub != nil && li.table == table && li.failure() == nil {
		return false, nil
	}
	if err := li.close(); err != nil {
		return false, err
	}
	sub, err := li.subscribe(table, li.own)
	if err != nil {
		return false, err
	}
	li.sub, li.table = sub, table
	li.count++
	ctx, li.stop = context.WithCancel(ctx)
	li.done.Go(func() {
		if err := sub.Run(ctx, li.keep); err != nil {
			li.mu.Lock()
			li.failed = err
			li.mu.Unlock()
			poke(li.news)
		}
	})
	return true, nil
}

// maxWaiting is how many events wait while the loop is at work. Of more, the first
// tell what happened, and that some are lost is all that the rest say.
const maxWaiting = 64

func (li *listener) keep(e nft.Event) {
	li.mu.Lock()
	defer li.mu.Unlock()
	if !e.Beat {
		li.count++
	}
	if e.Expired || e.Beat {
		return // nobody changed anything
	}
	if len(li.events) >= maxWaiting {
		e = nft.Event{Lost: true}
		li.events = li.events[:maxWaiting-1]
	}
	li.events = append(li.events, e)
	if !e.Own {
		poke(li.news)
	}
}

func poke(notice chan<- struct{}) {
	select {
	case notice <- struct{}{}:
	default:
	}
}

// over waits for the end of the commit that makes a generation: to tell of it is the last
// that it does.
func (li *listener) over(ctx context.Context, generation uint32) error {
	if li.sub == nil {
		return nft.ErrLost
	}
	return li.sub.Heard(ctx, generation)
}

// soFar is another number after anything that was heard but heartbeats.
func (li *listener) soFar() uint64 {
	li.mu.Lock()
	defer li.mu.Unlock()
	return li.count
}

// take gives the events that wait.
func (li *listener) take() []nft.Event {
	li.mu.Lock()
	defer li.mu.Unlock()
	events := li.events
	li.events = nil
	return events
}

// failure says why it does not listen any more; nil while it does.
func (li *listener) failure() error {
	li.mu.Lock()
	defer li.mu.Unlock()
	return li.failed
}

// hearing is how long a notification may be on its way. The kernel sends it before
// the transaction's sender gets an answer, so what is not there soon never comes.
const hearing = 2 * time.Second

// heard gives the events up to a generation, and those behind it that are known.
func (li *listener) heard(ctx context.Context, generation uint32) ([]nft.Event, error) {
	if li.sub == nil {
		return nil, nft.ErrLost
	}
	limited, cancel := context.WithTimeout(ctx, hearing)
	defer cancel()
	err := li.sub.Heard(limited, generation)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("wait for the notifications of a transaction: %w", err)
	}
	return li.take(), err
}

// close ends the goroutine and returns what could not be closed.
func (li *listener) close() error {
	if li.sub == nil {
		return nil
	}
	li.stop()
	err := li.sub.Close()
	li.done.Wait()
	li.mu.Lock()
	defer li.mu.Unlock()
	li.sub, li.failed, li.events = nil, nil, nil
	return err
}
