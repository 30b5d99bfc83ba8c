// Package ruleset takes rendered nft text apart into tables, chains, sets and
// their elements, and says what is wrong with it before nft sees it.
//
// The idea: a template may write any text, so weft must know what that text
// would do to the machine before a program with root rights reads it. nft
// itself does not say: with `nft --check` a foreign table, a `flush ruleset`, a
// hostname that asks DNS and a map with holes are all fine. So the text is taken
// apart here into blocks that keep their exact text, and [Lint] judges them.
//
// Invariants:
//   - What nft 1.0.6 accepts, Parse accepts, within the blocks that it knows;
//     what it does not know is kept as a [Statement] for Lint to refuse.
//   - Text is kept as it was written but for comments and white space, so what
//     [Ruleset.String] prints means to nft what the template wrote.
//   - Every finding and error has a line and a column of the rendered text,
//     from which the renderer finds the line of the template.
//   - What was parsed never changes, so that rulesets can share what is the same
//     in both (see [Parser]). So a block does not know where it stands: positions
//     count from the beginning of its own item.
//
// Why not nft's own parser (libnftables through `nft --check --json`)? It needs
// root and a kernel, resolves hostnames while it looks, and its JSON has
// neither lines nor the comments of tables and chains. Why not regular
// expressions on lines? A quoted comment may hold any syntax.
//
// A rule is only cut out, not understood, while parsing: a ruleset of 2,768
// ServicePorts is mostly rules, and most passes need no more than their text.
// Lint reads the words of each rule again.
package ruleset

import "fmt"

// Ruleset is the text of one rendering.
type Ruleset struct {
	Tables []*Table
	// Others is what stands at top level beside tables: commands, includes,
	// definitions, lines that are no nft at all.
	Others []*Statement

	parts []string       // what was parsed, to be put together
	items sequence[item] // of the top level
	early []early        // what Parse saw and Lint reports
}

// Table is one `table FAMILY NAME { }` block. A table may be written in
// several blocks; each of them is a Table.
type Table struct {
	Family  string // "ip" where the text names none, as nft has it
	Name    string
	Comment string
	Flags   []string
	Objects []*Object
	Sets    []*Set
	Chains  []*Chain
	Others  []*Statement // lines that belong into no table

	sums []uint32 // of the names of Chains, if they are as many (see [named])
	body[item]
}

// Statement is a line that is kept as it is.
type Statement struct {
	Text string

	at, end int
	closed  bool // by the brace of its block
}

// Chain is one `chain NAME { }` block. A chain may be written in several blocks,
// whose rules then stand one behind the other; each of them is a Chain.
type Chain struct {
	Name    string
	Base    *Base // nil for a chain that the kernel does not call by itself
	Comment string
	Rules   []Rule

	text   string // of its item
	at     int
	blocks []*Chain // of which it was joined, if it was
}

// Base is where the kernel calls a chain.
type Base struct {
	Type    string // "nat", "filter" or "route"
	Hook    string
	Devices []string // of ingress and egress hooks
	// Priority is the number behind PriorityText, which may use the names that
	// nft gives to some numbers; it is 0 for a name that nft does not know in
	// this family and hook (see [Priority]).
	Priority     int
	PriorityText string
	Policy       string   // "accept", "drop", or empty, which is accept
	Flags        []string // "offload"

	at int
}

// Rule is one rule of a chain.
type Rule struct {
	Text string // on one line, white space as single spaces, without # comments

	at, end int
}

// Set is one `set NAME { }` or `map NAME { }` block.
type Set struct {
	Name string
	Map  bool
	// Typeof tells whether Key and Data are expressions ("ip daddr . tcp dport")
	// or types ("ipv4_addr . inet_service").
	Typeof     bool
	Key        string
	Data       string // of a map
	Flags      []string
	Timeout    string
	GCInterval string
	Size       string
	Policy     string
	AutoMerge  bool
	Comment    string
	Stateful   []string // statements that each element gets, as "counter"
	Elements   []*Element

	body[Element]     // holds the same elements
	lists         int // how many `elements = { }` lines they stand in
}

// Element is one element of a set or map.
type Element struct {
	Key     string
	Value   string // of a map
	Timeout string
	Expires string
	Comment string
	State   string // a stateful statement, as "counter packets 0 bytes 0"
	Text    string // the whole element as it was written, without # comments

	tile    string // the element with what stands before it, and its comma
	at, end int    // in tile
}

// Object is a named counter, quota, limit, secmark, synproxy, flowtable, or ct
// helper, timeout or expectation.
type Object struct {
	Kind string // "counter", "ct helper", "flowtable", ...
	Name string
	Body []string // its statements, in their order

	at int
}

// Finding is something in a ruleset that weft refuses to load.
type Finding struct {
	Line    int    // 1-based
	Column  int    // 1-based, in bytes
	Rule    string // a short name of what was broken that does not change, as "hostname"
	Message string // what was expected, and why
}

// String gives the finding as one line.
func (f Finding) String() string {
	return fmt.Sprintf("%d:%d: %s: %s", f.Line, f.Column, f.Rule, f.Message)
}

// SyntaxError says where text is no ruleset.
type SyntaxError struct {
	Line    int // 1-based
	Column  int // 1-based, in bytes
	Message string
}

// Error gives position and message on one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}
