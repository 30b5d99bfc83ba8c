package nft

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Error is a transaction that nft or the kernel refused. Nothing of it was
// applied.
type Error struct {
	// Messages are what nft said, each with its place in the text that it was
	// given. There may be none.
	Messages []Message
	// Stderr is all that nft wrote there.
	Stderr string

	args []string
	err  error
}

// Message is one of nft's complaints.
type Message struct {
	// Line and Column in the text, from 1; 0 where nft named none.
	Line, Column int
	Text         string
}

// Error is one line; Stderr has the rest.
func (e *Error) Error() string {
	said := "it said nothing"
	if len(e.Messages) > 0 {
		said = e.Messages[0].Text
		if n := len(e.Messages) - 1; n > 0 {
			said += fmt.Sprintf(" (and %d more)", n)
		}
	} else if line, _, _ := strings.Cut(strings.TrimSpace(e.Stderr), "\n"); line != "" {
		said = line
	}
	return fmt.Sprintf("nft %s: %s: %v", strings.Join(e.args, " "), said, e.err)
}

func (e *Error) Unwrap() error { return e.err }

// messagePattern matches what nft prints before the source line and the carets:
//
//	/dev/stdin:4:70-71: Error: syntax error, unexpected newline
//	-:12:3-40: Error: Could not process rule: No such file or directory
var messagePattern = regexp.MustCompile(`(?m)^[^\s:]+:(\d+):(\d+)(?:-\d+)?: Error: (.*)$`)

func newError(args []string, stderr string, err error) *Error {
	e := &Error{Stderr: stderr, args: args, err: err}
	for _, m := range messagePattern.FindAllStringSubmatch(stderr, -1) {
		line, errLine := strconv.Atoi(m[1])
		column, errColumn := strconv.Atoi(m[2])
		if errLine != nil || errColumn != nil {
			continue // more digits than a line has
		}
		e.Messages = append(e.Messages, Message{Line: line, Column: column, Text: m[3]})
	}
	return e
}
