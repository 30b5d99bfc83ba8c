package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"weft/state"
)

// change is a state that an agent wrote and that its rules followed.
type change struct {
	at         time.Duration // after the start
	agent      int           // among the entries
	generation uint64
	shares     []float64 // by node
	why        *state.ServicePort
}

// observer reads what the agents of the entry nodes write, and keeps the /proc/stat of
// all nodes.
type observer struct {
	start   time.Time
	side    *side
	changes []change
	written []time.Time // of each agent's state file, when it was read last
}

// glance is how often the observer looks.
const glance = 100 * time.Millisecond

// run looks until the context ends.
func (o *observer) run(ctx context.Context) error {
	o.written = make([]time.Time, len(o.side.entries()))
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if err := o.look(now); err != nil {
				return err
			}
		}
	}
}

func (o *observer) look(now time.Time) error {
	for _, n := range o.side.nodes {
		if err := n.tick(now); err != nil {
			return err
		}
	}
	for i, n := range o.side.entries() {
		if err := o.read(i, n, now); err != nil {
			return err
		}
	}
	return nil
}

func (o *observer) read(agent int, n *node, now time.Time) error {
	info, err := os.Stat(n.state())
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.ModTime().Equal(o.written[agent]) {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(n.state())
	if err != nil {
		return err
	}
	st, err := state.Decode(n.state(), data)
	if err != nil {
		return err
	}
	o.written[agent] = info.ModTime()
	port := st.ServicePorts[0]
	c := change{now.Sub(o.start), agent, st.Generation, make([]float64, len(o.side.nodes)), port}
	for _, e := range port.Endpoints {
		i := slices.IndexFunc(o.side.nodes, func(n *node) bool { return n.Host.Host == e.Node })
		c.shares[i] += e.Share
	}
	if last := o.last(agent); last == nil || last.generation != c.generation {
		o.changes = append(o.changes, c)
	}
	return nil
}

func (o *observer) last(agent int) *change {
	for i := range slices.Backward(o.changes) {
		if o.changes[i].agent == agent {
			return &o.changes[i]
		}
	}
	return nil
}

// step is what the rules were from a time on: the mean of the agents.
type step struct {
	at     time.Duration
	shares []float64
}

// steps are the rules over time, from the first time on that all agents have some.
func steps(changes []change, agents int) []step {
	now := make([][]float64, agents)
	var all []step
	for _, c := range changes {
		now[c.agent] = c.shares
		if slices.ContainsFunc(now, func(s []float64) bool { return s == nil }) {
			continue
		}
		mean := make([]float64, len(c.shares))
		for _, shares := range now {
			for i, v := range shares {
				mean[i] += v / float64(agents)
			}
		}
		all = append(all, step{c.at, mean})
	}
	return all
}

// writes are how often each agent changed its rules from one time to another.
func writes(changes []change, agents int, from, to time.Duration) []int {
	count, last := make([]int, agents), make([]uint64, agents)
	for _, c := range changes {
		if last[c.agent] != 0 && c.at >= from && c.at < to {
			count[c.agent] += int(c.generation - last[c.agent])
		}
		last[c.agent] = c.generation
	}
	return count
}

// share is a node's at a time.
func share(all []step, node int, at time.Duration) float64 {
	v := 0.0
	for _, s := range all {
		if s.at > at && v > 0 {
			break
		}
		v = s.shares[node]
	}
	return v
}

// settling is how a node's share went from what it was at the time from to what it was
// on average in the last quarter of the time until to, and when nine tenths of the way
// were done first.
func settling(all []step, node int, from, to time.Duration) (before, after float64, took time.Duration) {
	before, after = share(all, node, from), mean(all, node, to-(to-from)/4, to)
	for _, s := range all {
		if s.at <= from || s.at > to {
			continue
		}
		if (s.shares[node]-before)/(after-before) >= 0.9 {
			return before, after, s.at - from
		}
	}
	return before, after, 0
}

// mean is a node's share on average from one time to another.
func mean(all []step, node int, from, to time.Duration) float64 {
	sum, at := 0.0, from
	for _, s := range all {
		if s.at > from && s.at < to {
			sum += share(all, node, at) * (s.at - at).Seconds()
			at = s.at
		}
	}
	sum += share(all, node, at) * (to - at).Seconds()
	return sum / (to - from).Seconds()
}
