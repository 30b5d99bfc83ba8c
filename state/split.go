package state

import (
	"bytes"
	"hash/maphash"
	"slices"

	"weft/state/fingerprint"
	"weft/state/strict"
)

// document is the text between two document markers of a state file.
type document struct {
	text   []byte
	offset int // of text in the file
	// same is the document of the file before with the same text, counted without the
	// header; -1 if that is not known.
	same int
}

// line is the line of the file on which the document begins. It is counted only
// for messages.
func (d document) line(data []byte) int { return 1 + bytes.Count(data[:d.offset], []byte("\n")) }

// plainMarker is a marker with nothing on its line.
const plainMarker = "---\n"

// splitLike is split for a file of which most is as in the one before: where the
// same documents follow each other, nobody looks for markers in them. before are
// those behind the header, and docs the memory to use.
func splitLike(data []byte, before []record, seed maphash.Seed, docs []document) []document {
	at := nextMarker(data, 0)
	if len(before) == 0 || at == 0 || strict.Blank(data[:at]) {
		return split(data)
	}
	docs = append(slices.Grow(docs, len(before)+1), document{data[:at], 0, -1})
	for next := 0; at < len(data); next++ {
		begin, same := at, -1
		if same, at = repeated(data, begin, before, next, seed); same >= 0 {
			text := begin + len(plainMarker)
			docs = append(docs, document{data[text:at], text, same})
			next = same
			continue
		}
		at = nextMarker(data, begin+1)
		docs = append(docs, split(data[begin:at])...)
		docs[len(docs)-1].offset += begin
	}
	return docs
}

// repeated finds the document that stands again at a marker, and where it ends; -1
// if there is none near its place.
func repeated(data []byte, begin int, before []record, near int, seed maphash.Seed) (same, end int) {
	rest, ok := bytes.CutPrefix(data[begin:], []byte(plainMarker))
	if !ok || isMarker(rest) {
		return -1, begin
	}
	same = fingerprint.Begins(rest, len(before), func(i int) fingerprint.Print { return before[i].text }, near, seed, func(text, behind []byte) bool {
		return len(behind) == 0 || bytes.HasSuffix(text, []byte("\n")) && isMarker(behind)
	})
	if same < 0 {
		return -1, begin
	}
	return same, begin + len(plainMarker) + before[same].text.Len()
}

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
		doc := document{data[begin:marker], begin, -1}
		if rest, ok := bytes.CutPrefix(doc.text, []byte(plainMarker)); ok {
			doc = document{rest, begin + len(plainMarker), -1}
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
