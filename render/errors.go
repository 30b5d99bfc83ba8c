package render

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"weft/state"
)

// Error is what is wrong with a template, or with one ServicePort in it. Error
// gives one line; Detail adds the way there and the source.
type Error struct {
	// Place of the template, or empty if it is not the template that is wrong;
	// Column counts from 1, or is 0 if not known.
	Place
	Column int
	// Calls are the places that called the template, outermost first.
	Calls []Place
	// ServicePort is the ID of the one in hand, or empty.
	ServicePort string
	Message     string

	source string // of the file
	record *state.ServicePort
}

func (e *Error) Error() string {
	if e.File == "" {
		return "ServicePort " + e.ServicePort + ": " + e.Message
	}
	var b strings.Builder
	b.WriteString(e.Place.String())
	if e.Column > 0 {
		fmt.Fprintf(&b, ":%d", e.Column)
	}
	if e.ServicePort != "" {
		fmt.Fprintf(&b, ": for ServicePort %s", e.ServicePort)
	}
	return b.String() + ": " + e.Message
}

// Detail is the error with the places that led to it and the lines around it.
func (e *Error) Detail() string {
	var b strings.Builder
	b.WriteString(e.Error() + "\n")
	for i := len(e.Calls) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "  called from %s\n", e.Calls[i])
	}
	if e.source == "" {
		return b.String()
	}
	text := strings.Split(e.source, "\n")
	for n := max(1, e.Line-2); n <= min(len(text), e.Line+2); n++ {
		pointer := " "
		if n == e.Line {
			pointer = ">"
		}
		fmt.Fprintf(&b, "%s%5d | %s\n", pointer, n, text[n-1])
	}
	return b.String()
}

// At makes an error of a line of rendered output: what nft or the lint says of
// it, addressed to the template line that wrote it. Where that cannot be told,
// the place is the output's own.
func (r *Result) At(line int, message string) *Error {
	e := r.at(line, message)
	if text := r.line(line); text != "" {
		e.Message += "\n  rendered line " + strconv.Itoa(line) + ": " + text
	}
	return e
}

func (r *Result) at(line int, message string) *Error {
	origin := r.Origin(line)
	e := &Error{Place: Place{origin.File, origin.Line}, Calls: origin.Calls, Message: message, record: origin.ServicePort}
	if origin.File == "" {
		e.Place = Place{"rendered ruleset", line}
	}
	if e.record != nil {
		e.ServicePort = e.record.ID()
	}
	return e
}

// line is a line of the text, without white space around it.
func (r *Result) line(line int) string {
	if text := strings.Split(r.Text(), "\n"); line >= 1 && line <= len(text) {
		return strings.TrimSpace(text[line-1])
	}
	return ""
}

// templateMessage takes text/template's message apart: the place stands in
// front, and each partial that is called through a function repeats it.
var templateMessage = regexp.MustCompile(`(?s)^template: ([^:]+):(\d+)(?::(\d+))?: (?:executing "[^"]*" at (<.*?>): )?(.*)$`)

// located turns an error of text/template into ours. The innermost template is
// the one to look at.
func (s *Set) located(err error) *Error {
	var exec template.ExecError
	for errors.As(err, &exec) {
		err = exec.Err
		if inner := (template.ExecError{}); !errors.As(errors.Unwrap(err), &inner) {
			break
		}
		err = errors.Unwrap(err)
	}
	m := templateMessage.FindStringSubmatch(err.Error())
	if m == nil {
		return &Error{Place: Place{File: s.Name}, Message: err.Error()}
	}
	e := &Error{Place: Place{File: m[1]}, Message: m[5]}
	e.Line, _ = strconv.Atoi(m[2])
	if m[3] != "" {
		column, _ := strconv.Atoi(m[3])
		e.Column = column + 1 // text/template counts from 0
	}
	if m[4] != "" {
		e.Message = m[4] + ": " + e.Message
	}
	e.source = s.source(e.File)
	return e
}

func (s *Set) parseError(err error) error {
	return whyGone(s.located(err))
}
