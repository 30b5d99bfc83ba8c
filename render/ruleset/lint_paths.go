package ruleset

import "iter"

// action is what a rule can do with a packet that matters to lint.
type action uint8

const (
	none       action = iota
	jumps             // to a chain, by jump, goto or a verdict map
	translates        // dnat or redirect
	drops             // drop or reject
)

// event is one action of a rule.
type event struct {
	target  string // of jumps
	word    string // the statement
	at      int
	action  action
	matched bool // the rule looked at the destination address before it
}

// alike reports whether two events do the same to a packet.
func alike(a, b event) bool {
	return a.action == b.action && a.target == b.target && a.matched == b.matched
}

// ruleFacts is what lint knows of a rule while it judges its chain.
type ruleFacts struct {
	compared comparison
	compares bool
	ends     bool // it translates the packet or leaves the chain for good
}

// paths follows the jumps from each base chain of a table, since what a chain
// may do depends on who calls it: a dnat is fine behind a look at the address,
// and a drop is fine anywhere but in nat.
func (l *linter) paths(t *Table, _ int) {
	s := l.scope(t)
	for _, c := range t.Chains {
		if c.Base != nil {
			w := walker{l: l, scope: s, base: c, seen: map[visit]bool{}}
			w.chain(c.Name, false)
		}
	}
}

type visit struct {
	chain   string
	matched bool
}

// walker goes through the chains that one base chain reaches.
type walker struct {
	l     *linter
	scope *scope
	base  *Chain
	seen  map[visit]bool
}

func (w *walker) chain(name string, matched bool) {
	v := visit{name, matched}
	if w.seen[v] {
		return
	}
	w.seen[v] = true
	for e := range w.scope.eventsOf(name) {
		w.event(e, matched || e.matched)
	}
}

// eventsOf is what the rules of a chain do.
func (s *scope) eventsOf(name string) iter.Seq[event] {
	return func(yield func(event) bool) {
		for _, block := range s.chains[name] {
			for _, e := range s.events[block] {
				if !yield(e) {
					return
				}
			}
		}
	}
}

func (w *walker) event(e event, matched bool) {
	switch e.action {
	case jumps:
		w.chain(e.target, matched)
	case translates:
		if !matched {
			w.l.add(e.at, "dnat-unmatched", "%s reached from base chain %s without a look at the destination address: it would take traffic to every address; expected `ip daddr`, a set of addresses or `fib daddr type local` before it", e.word, w.base.Name)
		}
	case drops:
		if w.base.Base.Type == "nat" {
			w.l.add(e.at, "nat-drop", "%s reached from nat chain %s: nat sees the first packet of each connection of this node, and this ends them; expected such rules in a filter chain", e.word, w.base.Name)
		}
	}
}
