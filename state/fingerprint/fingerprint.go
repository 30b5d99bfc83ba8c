// Package fingerprint lets a reader tell which parts of a text stand as they did in
// the text before, without keeping that: megabytes, with their like in a state file.
//
// A fingerprint is a length and a keyed hash. Another text has the same with a chance
// of one in 2^64, which nobody can better who does not know the seed; a cryptographic
// hash would take seven times as long, on each change.
package fingerprint

import "hash/maphash"

// Print stands for a text. Two with the same seed are equal if their texts are.
type Print struct {
	length int
	sum    uint64
}

// Of is the fingerprint of a text.
func Of(text []byte, seed maphash.Seed) Print { return Print{len(text), maphash.Bytes(seed, text)} }

// Len is the length of the text in bytes.
func (p Print) Len() int { return p.length }

// Behind is the fingerprint of the text behind n bytes that are the same for all: it
// can be compared with others of that kind alone.
func (p Print) Behind(n int) Print { return Print{p.length + n, p.sum} }

// Cut is a text in parts, which together are all of it.
type Cut struct {
	Seed  maphash.Seed
	Parts []Print
}

// Begins finds which of n known texts the text begins with, among the one that is
// expected and those beside it; -1 if it is none. ends tells whether a part may end
// where the text parts in two: what is longer in the text is another part.
func Begins(text []byte, n int, known func(i int) Print, expected int, seed maphash.Seed, ends func(part, rest []byte) bool) int {
	for _, i := range [...]int{expected, expected - 1, expected + 1, expected - 2, expected + 2} {
		if i < 0 || i >= n {
			continue
		}
		p := known(i)
		if p.length <= len(text) && ends(text[:p.length], text[p.length:]) && Of(text[:p.length], seed) == p {
			return i
		}
	}
	return -1
}
