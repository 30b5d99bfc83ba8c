package verify

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"weft/render/verify/nfnl"
)

// Priorities of the nat dispatcher and of conntrack. All nat chains of a hook run
// inside the dispatcher, in the order of their own priorities (nf_nat_core.c).
const (
	natDestination = -100
	natSource      = 100
	conntrack      = -200
)

// base is a base chain where packets meet it.
type base struct {
	*chain
	// doubt says why it is not known what packets the chain meets.
	doubt string
	// early says that the packets are not in conntrack yet.
	early bool
}

// bases are the base chains that a packet of a family meets at a hook, in order.
func (rs *Ruleset) bases(hook Hook, v6 bool) []base {
	list, ok := rs.order[meeting{hook, v6}]
	if !ok {
		if rs.order == nil {
			rs.order = map[meeting][]base{}
		}
		list = rs.sortBases(hook, v6)
		rs.order[meeting{hook, v6}] = list
	}
	return list
}

func (rs *Ruleset) sortBases(hook Hook, v6 bool) []base {
	var list []base
	for _, t := range rs.tables {
		if t.Flags&nfnl.TableDormant != 0 || t.Family != INet && (t.Family == IPv6) != v6 {
			continue
		}
		for _, c := range t.chains {
			if c.Hook != nil && c.does() && (Hook(c.Hook.Number) == hook || hook == Prerouting && Hook(c.Hook.Number) == ingress) {
				list = append(list, base{chain: c, early: early(c, hook)})
			}
		}
	}
	slices.SortFunc(list, func(a, b base) int { return compareBases(a.chain, b.chain, hook) })
	for i := range list {
		list[i].doubt = doubt(list, i, hook)
	}
	return list
}

// does reports whether a base chain may do anything.
func (c *chain) does() bool { return len(c.list) > 0 || c.Policy != nfnl.VerdictAccept }

// compareBases puts the younger of two chains with the same priority first, as the
// kernel does (nf_hook_entries_grow in netfilter/core.c).
func compareBases(a, b *chain, hook Hook) int {
	return cmp.Or(cmp.Compare(effective(a, hook), effective(b, hook)), cmp.Compare(a.Hook.Priority, b.Hook.Priority),
		cmp.Compare(a.table.Handle, b.table.Handle), cmp.Compare(b.Handle, a.Handle))
}

// effective is when a chain runs among all of a hook.
func effective(c *chain, hook Hook) int32 {
	switch {
	case Hook(c.Hook.Number) == ingress:
		return math.MinInt32
	case c.Type != "nat":
		return c.Hook.Priority
	case hook == Prerouting || hook == Output:
		return natDestination
	}
	return natSource
}

func early(c *chain, hook Hook) bool {
	return (hook == Prerouting || hook == Output) && effective(c, hook) < conntrack
}

// doubt says why it is not known what the packets of base chain i have been through.
func doubt(list []base, i int, hook Hook) string {
	c := list[i].chain
	switch {
	case Hook(c.Hook.Number) == ingress:
		return "chain " + c.Name + " is at the hook ingress"
	case (hook == Prerouting || hook == Output) && effective(c, hook) == conntrack:
		return fmt.Sprintf("chain %s has the priority of conntrack, %d: which goes first is not known", c.Name, conntrack)
	}
	for _, o := range list {
		if o.chain != c && unordered(o.chain, c, hook) {
			return fmt.Sprintf("chains %s and %s have the same priority: which goes first is not known", c.Name, o.Name)
		}
	}
	return ""
}

// unordered reports whether the order of two chains cannot be told: that of tables
// is not kept, and that of the nat dispatcher depends on what other programs have.
func unordered(a, b *chain, hook Hook) bool {
	if effective(a, hook) != effective(b, hook) {
		return false
	}
	return (a.Type == "nat") != (b.Type == "nat") || a.Hook.Priority == b.Hook.Priority && a.table != b.table
}
