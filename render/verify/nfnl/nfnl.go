// Package nfnl reads nf_tables objects from the kernel through netlink and
// decodes them into plain Go values.
//
// It exists because what is proven from a decoded rule can be no better than
// the decoding. The rule of this package is therefore that nothing is dropped:
// an expression whose name is not known, and a known expression with an
// attribute that is not known, become [Unknown] with a reason, so that whoever
// interprets the rule can say what he does not understand. The libraries of the
// field skip such expressions, which turns a rule with a condition into one
// without.
//
// Numbers in attributes are big-endian. Register contents, set keys and data
// are kept as the kernel holds them: bytes.
//
// The format is described by linux/netfilter/nf_tables.h and nfnetlink.h of the
// kernel's user space headers.
package nfnl

import "fmt"

// Family is the address family of a table, as nfnetlink numbers it (NFPROTO_*).
type Family uint8

// The families of tables.
const (
	Unspec Family = 0
	INet   Family = 1
	IPv4   Family = 2
	ARP    Family = 3
	NetDev Family = 5
	Bridge Family = 7
	IPv6   Family = 10
)

// String is the family as nft names it.
func (f Family) String() string {
	switch f {
	case INet:
		return "inet"
	case IPv4:
		return "ip"
	case ARP:
		return "arp"
	case NetDev:
		return "netdev"
	case Bridge:
		return "bridge"
	case IPv6:
		return "ip6"
	}
	return fmt.Sprintf("family %d", uint8(f))
}

// Verdict codes of nf_tables and netfilter.
const (
	VerdictContinue int32 = -1
	VerdictBreak    int32 = -2
	VerdictJump     int32 = -3
	VerdictGoto     int32 = -4
	VerdictReturn   int32 = -5
	VerdictDrop     int32 = 0
	VerdictAccept   int32 = 1
	VerdictQueue    int32 = 3
)

// Verdict says where a packet goes on.
type Verdict struct {
	Code int32
	// Chain is the target of a jump or goto.
	Chain string
}

// String is the verdict as nft's debug output writes it.
func (v Verdict) String() string {
	switch code := v.Code; code {
	case VerdictContinue:
		return "continue"
	case VerdictBreak:
		return "break"
	case VerdictJump:
		return "jump -> " + v.Chain
	case VerdictGoto:
		return "goto -> " + v.Chain
	case VerdictReturn:
		return "return"
	case VerdictDrop:
		return "drop"
	case VerdictAccept:
		return "accept"
	default:
		return fmt.Sprintf("verdict %d", code)
	}
}

// Table is a table. Flags are NFT_TABLE_F_*.
type Table struct {
	Family Family
	Name   string
	Flags  uint32
	Handle uint64
}

// TableDormant is the flag of a table whose chains are not registered.
const TableDormant = 0x1

// Chain is a chain; a base chain has a Hook.
type Chain struct {
	Family Family
	Table  string
	Name   string
	Handle uint64
	// Type is filter, nat or route for a base chain, else empty.
	Type string
	Hook *Hook
	// Policy is VerdictAccept or VerdictDrop for a base chain.
	Policy int32
	// Flags are NFT_CHAIN_*.
	Flags uint32
	// Use is how many rules the chain has, and how many rules and elements refer to it.
	Use uint32
}

// Hook is where a base chain is registered.
type Hook struct {
	// Number is NF_INET_*: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
	Number   uint32
	Priority int32
	// Devices are those of a netdev or inet ingress chain.
	Devices []string
}

// Rule is a rule with its expressions in order.
type Rule struct {
	Family Family
	Table  string
	Chain  string
	Handle uint64
	Exprs  []Expr
	// Comment is what nft's user data says; empty without one.
	Comment string
	// Unknown names an attribute of the rule itself that is not known.
	Unknown string
}

// Flags of sets (NFT_SET_*).
const (
	SetAnonymous uint32 = 0x1
	SetConstant  uint32 = 0x2
	SetInterval  uint32 = 0x4
	SetMap       uint32 = 0x8
	SetTimeout   uint32 = 0x10
	SetEval      uint32 = 0x20
	SetObject    uint32 = 0x40
	SetConcat    uint32 = 0x80
	SetExpr      uint32 = 0x100

	setKnown = 0x1ff
)

// DataVerdict is the data type of a verdict map.
const DataVerdict uint32 = 0xffffff00

// Set is a set or map without its elements.
type Set struct {
	Family Family
	Table  string
	Name   string
	Handle uint64
	Flags  uint32
	// KeyLen and DataLen are in bytes.
	KeyLen, DataLen   uint32
	KeyType, DataType uint32
	ObjType           uint32
	// Fields are the lengths in bytes of the fields of a concatenation.
	Fields []uint32
	// Exprs are run for each element that matches.
	Exprs []Expr
	// Unknown names what in the set's description is not known.
	Unknown string
}

// Element is an element of a set or map.
type Element struct {
	Key []byte
	// KeyEnd is the inclusive end of a range in a set of concatenated ranges.
	KeyEnd  []byte
	Data    []byte
	Verdict *Verdict
	// Object is the name of the object of an object map.
	Object string
	// End marks the first key behind an interval.
	End bool
	// CatchAll marks the element that matches what no other does.
	CatchAll bool
	// Timeout and Expiration are in milliseconds; HasExpiration says whether
	// the kernel gave the latter.
	Timeout, Expiration uint64
	HasExpiration       bool
	Comment             string
	Exprs               []Expr
	Unknown             string
}

// Expired reports whether the element's time is over, so that a lookup does not
// find it although it is still listed.
func (e *Element) Expired() bool { return e.HasExpiration && e.Expiration == 0 }
