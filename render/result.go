package render

import (
	"strings"

	"weft/state"
)

// Result is a rendered ruleset. It never changes.
type Result struct {
	// Set is the name of the set that was executed: for [Auto] the chosen one.
	Set string
	// Blocks are the text in its order, cut where the template began and ended
	// what it writes for each item of a list, such as a ServicePort. A cut may be
	// anywhere in a line. Results of one [Renderer] share the strings of blocks
	// that are the same, so that comparing these costs nothing.
	Blocks []Block
	// LeftOut are the ServicePorts that the templates could not render, or that the
	// vars leave alone, in the order of the state. kube-proxy serves them.
	LeftOut []LeftOut

	origins func() []Origin
	open    []Place // ranges with entries that depend on other ServicePorts
	source  func(file string) string
}

// Source is the text of the template file that an [Origin] names, as it was
// executed; empty if it is not known.
func (r *Result) Source(file string) string {
	if r.source == nil {
		return ""
	}
	return r.source(file)
}

// Block is a part of a rendered ruleset.
type Block struct {
	Text string
	// ServicePort is the record of the state that the block is for: nil for what
	// stands between them.
	ServicePort *state.ServicePort
}

// LeftOut is a ServicePort without rules, and the reason.
type LeftOut struct {
	ServicePort *state.ServicePort
	Err         *Error
}

// NewResult is a Result of text that was rendered before. Of its lines nobody
// knows the origin.
func NewResult(set, text string) *Result {
	return newResult(set, []Block{{Text: text}})
}

func newResult(set string, blocks []Block) *Result {
	return &Result{Set: set, Blocks: blocks}
}

// Text is what nft would load: all blocks, put together each time, since few ask
// for megabytes and fewer ask twice.
func (r *Result) Text() string {
	if len(r.Blocks) == 1 {
		return r.Blocks[0].Text
	}
	var b strings.Builder
	b.Grow(r.Len())
	for i := range r.Blocks {
		b.WriteString(r.Blocks[i].Text)
	}
	return b.String()
}

// Len is the length of the text in bytes.
func (r *Result) Len() (n int) {
	for i := range r.Blocks {
		n += len(r.Blocks[i].Text)
	}
	return n
}

// SameText reports whether both are the same text. What both share costs the
// comparison of two pointers, and what differs no more than up to there.
func (r *Result) SameText(other *Result) bool {
	if r == other {
		return true
	}
	if r.Len() != other.Len() {
		return false
	}
	var a, b string
	for i, j := 0, 0; ; {
		for ; a == "" && i < len(r.Blocks); i++ {
			a = r.Blocks[i].Text
		}
		for ; b == "" && j < len(other.Blocks); j++ {
			b = other.Blocks[j].Text
		}
		n := min(len(a), len(b))
		if n == 0 {
			return true // both are at their end
		}
		if a[:n] != b[:n] {
			return false
		}
		a, b = a[n:], b[n:]
	}
}
