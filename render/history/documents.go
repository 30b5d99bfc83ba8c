package history

import (
	"bytes"
	"hash/maphash"
)

// documents are those of a YAML stream that is a state file: what is known of it is
// their fingerprints, which are a hundredth of it.
type documents struct {
	texts  [][]byte
	prints []fingerprint
}

// fingerprint stands for a text. Another text has the same with a chance of one in
// 2^64.
type fingerprint struct {
	length int
	sum    uint64
}

func (f fingerprint) size() int { return f.length }

// cutDocuments cuts a state file. Documents that stand as they did in the one before,
// in the same place or one beside it, are found without a search for their end.
func cutDocuments(state []byte, before []fingerprint, seed maphash.Seed) documents {
	d := documents{make([][]byte, 0, len(before)), make([]fingerprint, 0, len(before))}
	for next := 0; len(state) > 0; next++ {
		i := again(state, before, next, seed)
		if i >= 0 {
			next = i
			d.add(state[:before[i].length], before[i])
		} else {
			text := state[:end(state)]
			d.add(text, fingerprint{len(text), maphash.Bytes(seed, text)})
		}
		state = state[len(d.texts[len(d.texts)-1]):]
	}
	return d
}

func (d *documents) add(text []byte, print fingerprint) {
	d.texts, d.prints = append(d.texts, text), append(d.prints, print)
}

const marker = "---\n"

// end is where the first document ends.
func end(text []byte) int {
	if n := bytes.Index(text, []byte("\n"+marker)) + 1; n > 0 {
		return n
	}
	return len(text)
}

// again finds the document with which the text begins, and after which the next one
// follows; -1 if it is not near its place.
func again(text []byte, before []fingerprint, near int, seed maphash.Seed) int {
	for _, i := range [...]int{near, near - 1, near + 1} {
		if i < 0 || i >= len(before) || before[i].length > len(text) {
			continue
		}
		one, rest := text[:before[i].length], text[before[i].length:]
		if ends := len(rest) == 0 || bytes.HasSuffix(one, []byte("\n")) && bytes.HasPrefix(rest, []byte(marker)); ends && maphash.Bytes(seed, one) == before[i].sum {
			return i
		}
	}
	return -1
}
