package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/examples/lab"
)

// The timeline around the death of weft.
const (
	workers  = 4
	interval = 10 * time.Millisecond // between the connections of one worker
	before   = time.Second           // of connections before the kill
	after    = 1500 * time.Millisecond
	row      = 500 * time.Millisecond
)

// diary is what became of the connections of a client that never pauses.
type diary struct {
	mu      sync.Mutex
	answers []lab.Answer
}

func (d *diary) note(a lab.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append(d.answers, a)
}

// crash is the fifth act: weft is killed while a client goes on, and what stands
// behind it takes over when the heartbeat is over.
func (p *play) crash(ctx context.Context) error {
	p.say("\n5. weft is killed (SIGKILL) while the client goes on. Its rules stay until the heartbeat of %v is over:", heartbeat)
	var d diary
	var killed, fell time.Time
	clientCtx, stop := context.WithCancel(ctx)
	defer stop()
	var client errgroup.Group
	client.Go(func() error {
		return lab.Watch(clientCtx, p.lab.Client, "tcp", p.service(), workers, interval, d.note)
	})
	err := func() (err error) {
		killed, fell, err = p.killAndWait(ctx)
		return err
	}()
	stop()
	if err := errors.Join(err, client.Wait()); err != nil {
		return err
	}
	p.say("\n%s", timeline(p.config.Endpoints, d.answers, killed, fell))
	if err := failures(d.answers); err != nil {
		return err
	}
	p.say("   The rules let go %.1f seconds after the kill. %s connections meanwhile, none failed.", fell.Sub(killed).Seconds(), thousands(len(d.answers)))
	p.say("   Without weft, the next %s connections:", thousands(connections))
	return p.measure(ctx, p.config.equal())
}

// killAndWait kills weft and returns when it did, and when the first connection
// fell through.
func (p *play) killAndWait(ctx context.Context) (killed, fell time.Time, err error) {
	if err := sleep(ctx, before); err != nil {
		return killed, fell, err
	}
	killed = time.Now()
	if err := p.agent.kill(); err != nil {
		return killed, fell, err
	}
	for n := uint64(0); n == 0; {
		if time.Since(killed) > heartbeat+patience {
			return killed, fell, fmt.Errorf("weft's rules still hold %v after its end", heartbeat+patience)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return killed, fell, err
		}
		if n, err = lab.Taken(p.lab.Node().Namespace); err != nil {
			return killed, fell, err
		}
	}
	fell = time.Now()
	return killed, fell, sleep(ctx, after)
}

// failures are the connections without an answer, which must not be.
func failures(answers []lab.Answer) error {
	var errs []error
	for _, a := range answers {
		if a.Err != nil {
			errs = append(errs, a.Err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d connections failed, the first: %w", len(errs), len(answers), errs[0])
}

// timeline shows the split of each half second around the kill.
func timeline(endpoints []endpoint, answers []lab.Answer, killed, fell time.Time) string {
	var text strings.Builder
	fmt.Fprintf(&text, "   %8s", "seconds")
	for _, e := range endpoints {
		fmt.Fprintf(&text, "  %8s", e.Name)
	}
	text.WriteString("   by\n")
	slices.SortFunc(answers, func(a, b lab.Answer) int { return a.Started.Compare(b.Started) })
	if len(answers) == 0 {
		return text.String()
	}
	last := answers[len(answers)-1].Started
	for from := killed.Add(-before); !from.Add(row).After(last); from = from.Add(row) { // whole rows alone
		to := from.Add(row)
		counts, n := map[string]int{}, 0
		for _, a := range answers {
			if !a.Started.Before(from) && a.Started.Before(to) {
				counts[a.Name]++
				n++
			}
		}
		fmt.Fprintf(&text, "   %+8.1f", from.Sub(killed).Seconds())
		for _, e := range endpoints {
			fmt.Fprintf(&text, "  %6.0f %%", 100*float64(counts[e.Name])/float64(max(n, 1)))
		}
		fmt.Fprintf(&text, "   %s\n", era(from, to, killed, fell))
	}
	return text.String()
}

// era says who steered between two moments.
func era(from, to, killed, fell time.Time) string {
	switch {
	case to.After(fell) && from.Before(fell):
		return "the heartbeat is over"
	case from.After(fell):
		return "kube-proxy's stand-in"
	case from.Equal(killed):
		return "the rules of the dead weft"
	case from.After(killed):
		return "\""
	}
	return "weft"
}
