package render

import (
	"strings"

	"weft/state"
)

// Result is a rendered ruleset. It never changes.
type Result struct {
	// Set is the name of the set that was executed: for [Auto] the chosen one.
	Set string
	// Parts are the text in its order, cut where the template began and ended
	// what it writes for each item of a list, such as a ServicePort. A cut may be
	// anywhere in a line. Results of one [Renderer] share the strings of parts
	// that are the same, so that comparing these costs nothing.
	Parts []string
	// LeftOut are the ServicePorts that the templates could not render, or that the
	// vars leave alone, in the order of the state. kube-proxy serves them.
	LeftOut []LeftOut

	entries []bool // of each part: it was written for a ServicePort; nil if that is not known
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

// LeftOut is a ServicePort without rules, and the reason.
type LeftOut struct {
	ServicePort *state.ServicePort
	Err         *Error
}

// NewResult is a Result of text that was rendered before. Of its lines nobody
// knows the origin.
func NewResult(set, text string) *Result {
	return &Result{Set: set, Parts: []string{text}}
}

// Text is what nft would load: all parts, put together each time, since few ask
// for megabytes and fewer ask twice.
func (r *Result) Text() string { return strings.Join(r.Parts, "") }

// Len is the length of the text in bytes.
func (r *Result) Len() (n int) {
	for _, part := range r.Parts {
		n += len(part)
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
		for ; a == "" && i < len(r.Parts); i++ {
			a = r.Parts[i]
		}
		for ; b == "" && j < len(other.Parts); j++ {
			b = other.Parts[j]
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
