package ruleset

import (
	"cmp"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
)

// A chain may be written in several blocks, as nft takes it: each adds its rules
// behind those of the blocks before. A [Parser] shares blocks, so that a rule that
// changed costs its own block alone; what compares chains joins the blocks of those
// that differ, and no others.

// named are the names of some chains.
//
// A large table has thousands of chains, and a look at the name of each is a look at
// more than a thousand pages of memory that nobody needs else: a third of all that a small
// change touched. So the sums of the names stand in a list beside the chains.
type named struct {
	all map[string]bool
	// few and sums are the same, where a look at each of them is faster.
	few  []string
	sums []uint32
}

// sumOf is a number that is the same for equal names, and rarely for others.
func sumOf(name string) uint32 { return crc32.ChecksumIEEE([]byte(name)) }

func namesOf(lists ...[]*Chain) named {
	names := named{all: map[string]bool{}}
	for _, list := range lists {
		for _, c := range list {
			names.all[c.Name] = true
		}
	}
	if len(names.all) <= fewNames {
		names.few = slices.Collect(maps.Keys(names.all))
		for _, name := range names.few {
			names.sums = append(names.sums, sumOf(name))
		}
	}
	return names
}

func (n named) has(name string) bool {
	if len(n.few) > 0 {
		return slices.Contains(n.few, name)
	}
	return n.all[name]
}

// joined gives the chains of the table with these names, each once, in the order of
// their first blocks. One that is written in a single block is the block itself.
func (n named) joined(t *Table) []*Chain {
	if len(n.all) == 0 {
		return nil
	}
	var chains []*Chain
	at := make(map[string]int, len(n.all))
	bySum := len(n.few) > 0 && len(t.sums) == len(t.Chains)
	for i, c := range t.Chains {
		if bySum && !slices.Contains(n.sums, t.sums[i]) || !n.has(c.Name) {
			continue
		}
		first, again := at[c.Name]
		if !again {
			at[c.Name] = len(chains)
			chains = append(chains, c)
			continue
		}
		chains[first] = joinChains(chains[first], c)
	}
	return chains
}

// joinAll gives all chains of the table, each once.
func joinAll(t *Table) []*Chain { return namesOf(t.Chains).joined(t) }

func joinChains(a, b *Chain) *Chain {
	j := a
	if a.blocks == nil {
		j = &Chain{Name: a.Name, Base: a.Base, Comment: a.Comment, at: a.at}
		j.take(a)
	}
	j.Base, j.Comment = cmp.Or(b.Base, j.Base), cmp.Or(b.Comment, j.Comment)
	j.take(b)
	return j
}

func (c *Chain) take(block *Chain) {
	c.blocks = append(c.blocks, block)
	c.Rules = append(c.Rules, block.Rules...)
}

// block is the block that a rule was written in.
func (c *Chain) block(rule int) *Chain {
	for _, b := range c.blocks {
		if rule < len(b.Rules) {
			return b
		}
		rule -= len(b.Rules)
	}
	return c
}

// first is the block that the chain begins with.
func (c *Chain) first() *Chain {
	if len(c.blocks) > 0 {
		return c.blocks[0]
	}
	return c
}

// mayJoin tells whether a block may be one of those of its chain, which are sound without
// it: if it is the only one, or if each rule looks at the destination port first, so that
// nobody's connections meet another's rules by accident.
func (c *Chain) mayJoin(blocks []*Chain) bool {
	return len(blocks) < 2 || c.isByPort() && blocks[0].isByPort()
}

func (c *Chain) isByPort() bool {
	return c.Base == nil && len(c.Rules) > 0 && !slices.ContainsFunc(c.Rules, func(r Rule) bool { return !looksAtPort(r.Text) })
}

func looksAtPort(rule string) bool {
	protocol, rest, _ := strings.Cut(rule, " ")
	return (protocol == "th" || transport[protocol]) && strings.HasPrefix(rest, "dport ")
}
