// Package render turns a state into nftables rules through a template set.
//
// Rendering is a pure function: the same state, set and vars give the same
// bytes on every machine, without root, nft or a cluster. A template sees only
// what rules may depend on ([Data]), and only functions that give the same
// answer each time.
//
// Two things are wanted of a template engine for firewalls that text/template
// does not have: to know for each line of output which template line and which
// record of the state it came from, and to go on without the one record that
// fails. Both come from the same trick. When something is wrong, and only then,
// the set is executed once more with its parse trees instrumented: before each
// node a call leaves a mark in the output that says where the template is and
// what the dot is (see marks). The text without marks is what users get, so
// nothing is paid for it in the usual case, and a set cannot behave otherwise
// for being watched.
package render

import (
	"context"
	"fmt"
	"time"

	"weft/state"
)

// Limits of one rendering. A template that goes beyond is broken: the whole
// NodePort range with ten endpoints each is 3 MB and takes a tenth of a second.
const (
	maxOutput = 64 << 20
	maxTime   = 30 * time.Second
	maxDepth  = 64
)

// Render executes the set for the state. The state must have passed
// [state.Validate], as a decoded one has.
//
// A template that fails for one ServicePort is executed again without it. When
// more than half of them fail, or 64, it is the template that is broken: the
// error is then the first one, an [*Error].
func Render(ctx context.Context, set *Set, st *state.State, vars Vars) (*Result, error) {
	return NewRenderer(set).Render(ctx, st, vars)
}

// mayLeaveOut says whether n ServicePorts may fail before the template is to
// blame.
func mayLeaveOut(n int, st *state.State) bool {
	steered := 0
	for _, p := range st.ServicePorts {
		if p.Steered() {
			steered++
		}
	}
	return n <= min(steered/2, 64)
}

// firstError is the first failure of a template.
func firstError(before []LeftOut, last *Error) *Error {
	for _, l := range before {
		if l.Err.File != "" {
			return l.Err
		}
	}
	return last
}

// Origin is where a line of output came from.
type Origin struct {
	// File and Line are those of the template; File is empty if it cannot be told.
	File string
	Line int
	// Calls are the places that called the template, outermost first.
	Calls []Place
	// ServicePort is the record of the state that was in hand, or nil.
	ServicePort *state.ServicePort
}

// Place is a line of a template.
type Place struct {
	File string
	Line int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Origin says where a line of Text came from; the first line is 1. It renders
// the set once more, the first time that it is asked. Of a Result that did not
// come from [Render] it says nothing.
func (r *Result) Origin(line int) Origin {
	if r.origins == nil {
		return Origin{}
	}
	all := r.origins()
	if line < 1 || line > len(all) {
		return Origin{}
	}
	return all[line-1]
}
