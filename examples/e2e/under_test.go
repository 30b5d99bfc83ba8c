package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

// way is a path on which connections go on while something happens, and where
// they go before and after it.
type way struct {
	path
	before, after map[string]float64
}

// web are the ways that weft steers.
func (b *beside) web(before, after map[string]float64) (all []way) {
	for _, p := range paths(b.Cluster)[:4] {
		all = append(all, way{p, before, after})
	}
	return all
}

// untouched are ways that weft leaves to kube-proxy, which gives each endpoint
// the same.
func (b *beside) untouched() (all []way) {
	shares := map[string]map[string]float64{
		"on one node, from outside":            {"node2-a": 0.5, "node2-b": 0.5},
		"ClusterIP from a pod":                 equal,
		"load balancer, allowed source":        {"node1-a": 0.5, "node2-a": 0.5},
		"switched off, from outside":           {"node1-a": 0.5, "node2-a": 0.5},
		"local policy from outside":            {"node1-b": 1},
		"near endpoints, from outside":         {"node1-a": 1},
		"web's ClusterIP from a pod behind it": equal,
	}
	for _, p := range paths(b.Cluster) {
		if want, ok := shares[p.name]; ok {
			all = append(all, way{p, want, want})
		}
	}
	return all
}

// enough is how many connections of a way there are before something happens, and
// after.
const enough = 60

// under does something while connections are opened all the time. None may fail.
// Those that were answered before it began go where before says, those that began
// when it had been done go where after says, and in between each of the two may
// hold.
func (b *beside) under(what string, ways []way, do func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	var group errgroup.Group
	all := make([]opened, len(ways))
	for i, w := range ways {
		group.Go(func() error {
			return lab.Watch(ctx, w.from.Namespace, w.network, netip.MustParseAddrPort(w.to), 1, 10*time.Millisecond, all[i].add)
		})
	}
	b.opens(what, all, ways)
	begin := time.Now()
	do()
	end := time.Now()
	b.opens(what, all, ways)
	cancel()
	if err := group.Wait(); err != nil {
		b.t.Error(err)
	}
	for i, w := range ways {
		for _, problem := range all[i].problems(w, begin, end) {
			b.t.Errorf("%s: %s: %s", what, w.name, problem)
		}
	}
}

// opens waits until connections that begin from now on have ended on all ways.
func (b *beside) opens(what string, all []opened, ways []way) {
	b.t.Helper()
	from, deadline := time.Now(), time.Now().Add(patience)
	for i := range all {
		for n := 0; n < enough; n = all[i].since(from) {
			if time.Now().After(deadline) {
				b.t.Errorf("%s: %s: %d connections within %v", what, ways[i].name, n, patience)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// opened are the connections of a way.
type opened struct {
	mu      sync.Mutex
	answers []lab.Answer
}

func (o *opened) add(a lab.Answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers = append(o.answers, a)
}

// since counts the connections that began after a time.
func (o *opened) since(from time.Time) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.answers) - 1; i >= 0 && o.answers[i].Started.After(from); i-- {
		n++
	}
	return n
}

// problems tell what failed or went elsewhere, while the way went from before to
// after between begin and end.
func (o *opened) problems(w way, begin, end time.Time) (problems []string) {
	failed := map[string]int{}
	var went [3]map[string]int // before, meanwhile, after
	for i := range went {
		went[i] = map[string]int{}
	}
	for _, a := range o.answers {
		switch {
		case a.Err != nil:
			failed[why(a.Err)]++
		case maps.Equal(w.before, w.after), a.Started.Add(a.Took).Before(begin):
			went[0][a.Name]++
		case a.Started.Before(end):
			went[1][a.Name]++
		default:
			went[2][a.Name]++
		}
	}
	if len(failed) > 0 {
		problems = append(problems, fmt.Sprintf("of %d connections failed: %v", len(o.answers), failed))
	}
	say := func(when string, found []string) {
		for _, problem := range found {
			problems = append(problems, when+": "+problem)
		}
	}
	say("before", labtest.Outside(went[0], w.before))
	if !maps.Equal(w.before, w.after) {
		if len(went[1]) > 0 { // what was done may take no time
			say("meanwhile", labtest.OutsideBoth(went[1], w.before, w.after))
		}
		say("after", labtest.Outside(went[2], w.after))
	}
	return problems
}
