package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

// limited collects output up to the limits of a rendering.
type limited struct {
	bytes.Buffer
	ctx context.Context
}

var errTooLarge = errors.New("the output is too large")

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("%w: expected at most %d MiB", errTooLarge, maxOutput>>20)
	}
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.Buffer.Write(p)
}

// output collects what woven templates write. As long as nothing is done with
// the text but to write it, each entry stays a part of its own.
type output struct {
	limited // what was written since the last part
	parts   []string
	entries []bool               // of each part: it is for a ServicePort
	size    int                  // of the parts
	whole   bool                 // the text is wanted as one: there are no parts
	last    *output              // the one before
	between []string             // the texts between entries
	open    []int                // the parts with which a residue may begin
	doubt   bool                 // some part holds a residue
	culprit map[int]*ServicePort // whose part holds one, if it is for that ServicePort alone
}

func (o *output) Write(p []byte) (int, error) {
	if o.size+o.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("%w: expected at most %d MiB", errTooLarge, maxOutput>>20)
	}
	return o.limited.Write(p)
}

// emit writes the text of an entry. The ServicePort is nil if it is for none.
func (o *output) emit(k *kept, p *ServicePort) error {
	if o.whole {
		_, err := o.Write([]byte(k.text))
		return err
	}
	if k.text == "" {
		return nil
	}
	if o.size+o.Len()+len(k.text) > maxOutput {
		return fmt.Errorf("%w: expected at most %d MiB", errTooLarge, maxOutput>>20)
	}
	o.close()
	if k.ending == endsBadly && k.alone {
		if o.culprit == nil {
			o.culprit = map[int]*ServicePort{}
		}
		o.culprit[len(o.parts)] = p
	}
	o.add(k.text, k.ending, p != nil)
	return nil
}

// close makes a part of what was written since the last one: the string of the
// last rendering, if it is the same text.
func (o *output) close() {
	if o.Len() == 0 {
		return
	}
	written, text, n := o.Bytes(), "", len(o.between)
	if o.last != nil && n < len(o.last.between) && o.last.between[n] == string(written) {
		text = o.last.between[n]
	} else {
		text = string(written)
	}
	o.Reset()
	o.between = append(o.between, text)
	o.add(text, endingOf(text), false)
}

func (o *output) add(text string, e ending, entry bool) {
	o.doubt = o.doubt || e == endsBadly
	if e == endsOpen {
		o.open = append(o.open, len(o.parts))
	}
	o.parts, o.entries = append(o.parts, text), append(o.entries, entry)
	o.size += len(text)
}

// ending says what is known of residues in a text.
type ending uint8

const (
	endsWell  ending = iota // there is none, and none can begin
	endsOpen                // one may begin with the end of the text
	endsBadly               // there is one
)

func endingOf(text string) ending {
	if _, what := residue(text); what != "" {
		return endsBadly
	}
	if strings.HasSuffix(text, "%") || strings.Contains(text[max(0, len(text)-longest):], "<") {
		return endsOpen
	}
	return endsWell
}

// residues are what a template prints that meant to print something else:
// text/template's and fmt's words for what is not there.
var residues = [...]string{"<no value>", "<nil>", "%!", "\x00", "\r"}

// longest is the length of the longest residue.
const longest = len("<no value>")

// residue finds the first residue of a text.
func residue(text string) (at int, what string) {
	at = len(text)
	for _, s := range residues {
		if i := strings.Index(text[:at], s); i >= 0 {
			at, what = i, s
		}
	}
	return at, what
}

// residue reports whether the text holds a residue, and in the part of which
// ServicePort the first one is: nil if it is elsewhere.
func (o *output) residue() (culprit *ServicePort, found bool) {
	for _, i := range o.open {
		tail := o.parts[i][max(0, len(o.parts[i])-longest):]
		if at, what := residue(tail + following(o.parts[i+1:])); what != "" && at < len(tail) {
			return nil, true
		}
	}
	if !o.doubt {
		return nil, false
	}
	for i, part := range o.parts {
		if _, what := residue(part); what != "" {
			return o.culprit[i], true
		}
	}
	return nil, true
}

// following is the beginning of what parts say together.
func following(parts []string) string {
	var b strings.Builder
	for i := 0; i < len(parts) && b.Len() < longest; i++ {
		b.WriteString(parts[i])
	}
	return b.String()
}
