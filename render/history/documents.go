package history

import (
	"bytes"
	"hash/maphash"

	"weft/state/fingerprint"
)

// documents are those of a YAML stream that is a state file: what is known of it is
// their fingerprints, which are a hundredth of it.
type documents struct {
	texts  [][]byte
	prints []fingerprint.Print
}

// cutDocuments cuts a state file. Documents that stand as they did in the one before,
// in the same place or near it, are found without a search for their end.
func cutDocuments(state []byte, before []fingerprint.Print, seed maphash.Seed) documents {
	d := documents{make([][]byte, 0, len(before)), make([]fingerprint.Print, 0, len(before))}
	for next := 0; len(state) > 0; next++ {
		i := fingerprint.Begins(state, len(before), func(i int) fingerprint.Print { return before[i] }, next, seed, endsBefore)
		if i >= 0 {
			next = i
			d.add(state[:before[i].Len()], before[i])
		} else {
			text := state[:end(state)]
			d.add(text, fingerprint.Of(text, seed))
		}
		state = state[len(d.texts[len(d.texts)-1]):]
	}
	return d
}

func (d *documents) add(text []byte, print fingerprint.Print) {
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

// endsBefore tells whether a document may end before the rest.
func endsBefore(text, rest []byte) bool {
	return len(rest) == 0 || bytes.HasSuffix(text, []byte("\n")) && bytes.HasPrefix(rest, []byte(marker))
}
