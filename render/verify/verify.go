// Package verify answers one question: what would the kernel do with a new
// packet to this NodePort?
//
// It reads the tables back through netlink (package nfnl), walks their rules as
// nf_tables does, and compares the distribution over endpoints that it computes
// with the state. It never looks at the text that was loaded and knows nothing
// of template sets, so any template that does the job passes and any that does
// not fails.
//
// A packet is not a value here but a class of packets. What the state says
// (destination, protocol, port) is known or restricted; what it does not say
// (source, interfaces, marks) is a free variable; what is drawn for the packet
// (numgen, hashes) is a variable whose values are equally likely. A condition
// on a variable splits the class at the bounds that the rule draws, so ten
// endpoints at modulus 65536 cost ten branches. The weight of a path is the
// part of the drawn values that is left on it, an exact fraction. Each numgen
// is a draw of its own, so a cascade of rules multiplies out.
//
// Whatever is not understood ends the path as unknown: it never counts as
// proven, and it affects only the packets that get there.
package verify

import "weft/render/verify/nfnl"

// Family is the family of a table.
type Family = nfnl.Family

// The families of tables that can hold NodePort rules.
const (
	INet = nfnl.INet
	IPv4 = nfnl.IPv4
	IPv6 = nfnl.IPv6
)

// TableID names a table.
type TableID = nfnl.TableID

// Touched is what transactions changed, by table.
type Touched = map[TableID]*nfnl.Touched

// Hook is a netfilter hook (NF_INET_*).
type Hook uint32

// The hooks in the kernel's numbering.
const (
	Prerouting Hook = iota
	Input
	Forward
	Output
	Postrouting
	ingress
)

// String is the hook as nft names it.
func (h Hook) String() string {
	names := [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	if int(h) < len(names) {
		return names[h]
	}
	return "hook"
}

// Ruleset is tables as the kernel held them at one generation. It is for one
// goroutine at a time: lookups build their indexes when first needed.
type Ruleset struct {
	// Generation is the kernel's number of the transaction that was read.
	Generation uint32
	tables     []*table
	// order caches bases; a change of the tables empties it.
	order map[meeting][]base
}

// meeting is a hook as packets of one family meet it.
type meeting struct {
	hook Hook
	v6   bool
}

type table struct {
	nfnl.Table
	chains map[string]*chain
	sets   map[string]*set
}

type chain struct {
	nfnl.Chain
	rules
	table *table
	mark  mark
}

func newChain(t *table, head nfnl.Chain, list []*nfnl.Rule) *chain {
	own := new(pool)
	defer own.close()
	return &chain{Chain: head, table: t, rules: rulesOf(list, own), mark: chainMark(t.id(), head.Name)}
}

func (t *table) id() TableID { return TableID{Family: t.Family, Name: t.Name} }
func (c *chain) id() TableID { return c.table.id() }
