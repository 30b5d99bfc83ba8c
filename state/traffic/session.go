package traffic

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// session is what the kernel is heard and asked by.
type session struct {
	news, table *socket
}

// begin opens a session in the network namespace of the calling thread.
func begin() (s *session, err error) {
	if err := checkSwitch(); err != nil {
		return nil, err
	}
	s = &session{}
	if s.news, err = openSocket(); err != nil {
		return nil, err
	}
	if s.table, err = openSocket(); err == nil {
		err = s.news.listen()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *session) close() error {
	err := s.news.close()
	if s.table != nil {
		err = errors.Join(err, s.table.close())
	}
	return err
}

// run hears and asks until one fails or the context ends.
func (o *Observer) run(ctx context.Context, s *session, changed func()) error {
	g, ctx := errgroup.WithContext(ctx)
	defer s.news.until(ctx)()
	fresh := make(chan struct{}, 1)
	g.Go(func() error { return o.hear(ctx, s.news, fresh, changed) })
	g.Go(func() error { return o.follow(ctx, s.table, fresh) })
	return g.Wait()
}

// respite is a pause after each look for news, which lets them gather, so that one
// wait serves many. It makes times late by no more than itself.
const respite = 2 * time.Millisecond

var errOverwhelmed = errors.New("the kernel had more to tell than this process could take in, three times in a minute")

// losses is how many losses in a minute are too many.
const losses = 3

// hear takes in what is opened.
func (o *Observer) hear(ctx context.Context, s *socket, fresh chan<- struct{}, changed func()) error {
	var lost []time.Time
	for {
		err := o.receive(s, fresh, changed)
		switch now := time.Now(); {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			o.missed(now)
			if lost = append(lost, now); len(lost) >= losses && now.Sub(lost[len(lost)-losses]) < time.Minute {
				return errOverwhelmed
			}
		case err != nil:
			return err
		}
		sleep(ctx, respite)
	}
}

// lull is how long nothing came if what comes then is worth a call.
const lull = time.Second

func (o *Observer) receive(s *socket, fresh chan<- struct{}, changed func()) error {
	followed, first := false, false
	now := 0.0
	err := s.receive(func(b []byte) {
		opened, ok := readOpening(b)
		if !ok {
			return
		}
		if now == 0 { // once for all: it costs as much as reading a message
			now = o.now()
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		before := o.tally.change
		followed = o.tally.open(opened, now) || followed
		if o.tally.change != before {
			first = first || now-o.opened > lull.Seconds()
			o.opened = now
		}
	})
	if first {
		poke(o.began)
		changed()
	}
	if followed {
		poke(fresh)
	}
	return err
}

func poke(notice chan<- struct{}) {
	select {
	case notice <- struct{}{}:
	default:
	}
}

// follow looks at connections as they are due.
func (o *Observer) follow(ctx context.Context, s *socket, fresh <-chan struct{}) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, wait := o.due()
		if len(due) > 0 {
			if err := o.look(s, due); err != nil {
				return err
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-fresh:
			// What is fresh is due in firstLook, and so is what comes meanwhile.
			sleep(ctx, firstLook)
		case <-timer.C:
		}
	}
}

// batch is how many entries are asked for at once.
const batch = 64

// due are the connections to look at now, or how long there is none.
func (o *Observer) due() (due []*life, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	if due = o.tally.due(now, batch); len(due) > 0 {
		return due, 0
	}
	at, ok := o.tally.next()
	if !ok {
		return nil, time.Hour
	}
	return nil, max(time.Duration((at-now)*float64(time.Second)), respite)
}

// look asks for entries of the table. An entry that is not there any more is seen
// as closed; one that is not answered for is lost.
func (o *Observer) look(s *socket, due []*life) error {
	var questions []byte
	for i, l := range due {
		questions = appendQuestion(questions, &l.entry, uint32(i))
	}
	sights := make([]*sight, len(due))
	err := s.ask(questions, func(b []byte) {
		for len(b) > 0 {
			var m message
			m, b = cut(b)
			if int(m.sequence) >= len(due) {
				continue
			}
			switch {
			case m.kind == unix.NFNL_SUBSYS_CTNETLINK<<8|messageNew:
				seen := readSight(m.attrs)
				sights[m.sequence] = &seen
			case m.errno == unix.ENOENT:
				sights[m.sequence] = &sight{}
			}
		}
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for i, l := range due {
		if sights[i] == nil {
			o.tally.lost(l)
			continue
		}
		o.tally.saw(l, *sights[i], now)
	}
	return err
}
