package state

import (
	"bytes"

	"weft/state/strict"
)

// document is the text between two document markers of a state file.
type document struct {
	text   []byte
	offset int // of text in the file
}

// line is the line of the file on which the document begins. It is counted only
// for messages.
func (d document) line(data []byte) int { return 1 + bytes.Count(data[:d.offset], []byte("\n")) }

// split cuts a YAML stream at its document markers: lines that are --- or begin
// with --- and a space. Such a line cannot be anything else in YAML, not even
// inside a quoted string. Text before the first marker is no document if it is
// only comments. A marker's own line belongs to its document only if it holds more.
func split(data []byte) []document {
	var docs []document
	begin, marker := 0, nextMarker(data, 0)
	if marker < len(data) && strict.Blank(data[:marker]) {
		begin, marker = marker, nextMarker(data, marker+1)
	}
	for {
		doc := document{text: data[begin:marker], offset: begin}
		if rest, ok := bytes.CutPrefix(doc.text, []byte("---\n")); ok {
			doc = document{text: rest, offset: begin + len("---\n")}
		}
		docs = append(docs, doc)
		if marker == len(data) {
			return docs
		}
		begin, marker = marker, nextMarker(data, marker+1)
	}
}

// nextMarker finds the first marker at or after from, which is the beginning of
// a line or inside one; the end of data if there is none.
func nextMarker(data []byte, from int) int {
	if from == 0 && isMarker(data) {
		return 0
	}
	for at := max(from-1, 0); at < len(data); {
		i := bytes.Index(data[at:], []byte("\n---"))
		if i < 0 {
			break
		}
		at += i + 1
		if isMarker(data[at:]) {
			return at
		}
	}
	return len(data)
}

func isMarker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}
