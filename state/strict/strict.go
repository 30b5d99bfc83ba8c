// Package strict reads YAML documents into Go structs and refuses whatever the
// struct does not say: unknown, duplicate and missing fields, values of another
// type, values out of range, anchors, aliases, merge keys, tags and a second
// document. It reports all problems of a document together, each with the file,
// the line, the field and what was expected.
//
// yaml.v3's own KnownFields was not enough: it does not know required fields,
// turns 0x10, 010 and 1_0 into numbers and yes into a string without a word,
// names Go types in its messages, and stops early. So yaml.v3 only parses here;
// the walk over its nodes is ours. This package alone imports yaml.v3.
//
// A field is named by its yaml tag and described by a strict tag, a list of
// required, min=N and max=N:
//
//	Share float64 `yaml:"share" strict:"required,min=0,max=1"`
//
// Fields that a document leaves out keep the value that they had, so a struct
// may be filled with its defaults before.
package strict

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-multierror"
	"gopkg.in/yaml.v3"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	// File is how the user knows the document; empty for one that is no file.
	File string
	// Line counts from 1; 0 is unknown.
	Line int
	// Field is the path of the value, such as endpoints[1].share; empty for the
	// document itself.
	Field   string
	Message string
}

// Error is "file:line: field: message" without the parts that are not known.
func (p *Problem) Error() string {
	place := p.File
	if p.Line > 0 {
		place = strings.TrimPrefix(place+":"+strconv.Itoa(p.Line), ":")
	}
	parts := slices.DeleteFunc([]string{place, p.Field, p.Message}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// Join makes one error of problems, in the order of their lines: a
// *multierror.Error that prints one problem a line. It is nil for no problem.
func Join(problems []*Problem) error {
	if len(problems) == 0 {
		return nil
	}
	sorted := slices.Clone(problems)
	slices.SortStableFunc(sorted, func(a, b *Problem) int { return a.Line - b.Line })
	all := &multierror.Error{ErrorFormat: Lines}
	for _, p := range sorted {
		all.Errors = append(all.Errors, p)
	}
	return all
}

// Lines is a multierror.ErrorFormatFunc that prints one problem a line.
func Lines(errs []error) string {
	text := make([]string, len(errs))
	for i, err := range errs {
		text[i] = err.Error()
	}
	return strings.Join(text, "\n")
}

// Decode reads one YAML document into the value that into points to. Messages
// name file, and count lines from firstLine, the line of the file on which doc
// begins. The error is a *multierror.Error of *Problem with all problems; into
// is then filled as far as possible.
func Decode(file string, firstLine int, doc []byte, into any) error {
	return Join(Parse(file, firstLine, doc).Decode(into))
}

// Document is one YAML document, parsed, for a reader that must look at it before
// it knows which struct to decode into, or that has problems of its own to add.
type Document struct {
	file   string
	first  int
	root   *yaml.Node // nil for an empty document and for one that is not YAML
	second int        // the line of a second document, 0 if there is none
	syntax *Problem
}

// Parse reads a document as [Decode] does. It has no error: Decode tells it.
func Parse(file string, firstLine int, doc []byte) *Document {
	root, second, err := parse(doc)
	d := &Document{file: file, first: firstLine, root: root, second: second}
	if err != nil {
		d.syntax = syntaxProblem(file, firstLine, doc, err)
	}
	return d
}

// Decode fills the value that into points to and returns all problems.
func (doc *Document) Decode(into any) []*Problem {
	d := &decoder{file: doc.file, first: doc.first, fields: map[reflect.Type]*fields{}}
	target := reflect.ValueOf(into)
	switch {
	case target.Kind() != reflect.Pointer || target.IsNil():
		d.add(0, "", "cannot decode into %T, expected a pointer", into)
	case doc.syntax != nil:
		d.problems = append(d.problems, doc.syntax)
	case doc.root == nil:
		d.add(1, "", "empty document, expected %s", d.expectedFields(target.Type()))
	default:
		d.value(doc.root, "", target.Elem(), limits{})
	}
	if doc.second > 0 {
		d.add(doc.second, "", "a second document begins here, expected one")
	}
	return d.problems
}

// Blank reports whether doc holds nothing but space, comments and document
// markers.
func Blank(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && string(line) != "---" {
			return false
		}
	}
	return true
}

// parse returns the root value of the first document, nil if it is empty, and
// the line of a second one, 0 if there is none.
func parse(doc []byte) (root *yaml.Node, second int, err error) {
	defer func() {
		// yaml.v3 has panicked on hostile input before; no parser error may
		// take an agent down that holds a node's rules.
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("yaml: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	var first, next yaml.Node
	if err := dec.Decode(&first); err == io.EOF {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	if err := dec.Decode(&next); err == nil {
		second = max(next.Line, 1)
	} else if err != io.EOF {
		return nil, 0, err
	}
	if len(first.Content) == 0 || isEmpty(first.Content[0]) {
		return nil, second, nil
	}
	return first.Content[0], second, nil
}

func isEmpty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Value == ""
}

// syntaxProblem says where yaml.v3 stopped to understand the document.
func syntaxProblem(file string, firstLine int, doc []byte, err error) *Problem {
	line, message := cutLine(err)
	if at := firstUnreadable(doc); at >= 0 {
		line, message = 1+bytes.Count(doc[:at], []byte("\n")), "text that is not UTF-8, or a control character"
	} else {
		line = offendingLine(doc, line, message)
	}
	return &Problem{File: file, Line: firstLine + line - 1, Message: "not YAML: " + message}
}

// cutLine takes the line out of a message of yaml.v3; it leaves out the first.
func cutLine(err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				return max(n, 1), text
			}
		}
	}
	return 1, message
}

// offendingLine corrects the line that yaml.v3 names, which may be the one before
// the fault or the one where the value with the fault begins: it is the last line
// of the shortest beginning of the document that has the same fault.
func offendingLine(doc []byte, line int, message string) int {
	end, n := 0, 0
	for text := range bytes.Lines(doc) {
		end += len(text)
		if n++; n < line-1 || n > line+3 {
			continue
		}
		if _, _, err := parse(doc[:end]); err != nil {
			if _, same := cutLine(err); same == message {
				return n
			}
		}
	}
	return line
}

// firstUnreadable finds the byte that YAML does not allow anywhere, since yaml.v3
// reports it without a line; -1 if there is none.
func firstUnreadable(doc []byte) int {
	for i := 0; i < len(doc); {
		r, size := utf8.DecodeRune(doc[i:])
		control := r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f
		if control || r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
