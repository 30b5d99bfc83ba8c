package history

import (
	"bytes"
	"hash/maphash"

	"weft/state/fingerprint"
)

// textsOf gives the documents of a state file one by one, each behind the one before.
func textsOf(state []byte, documents []fingerprint.Print) func(i int) string {
	next := 0
	return func(i int) string {
		for ; next < i; next++ {
			state = state[documents[next].Len():]
		}
		return string(state[:documents[i].Len()])
	}
}

// cutDocuments cuts a state file. Documents that stand as they did in the one before,
// in the same place or near it, are found without a search for their end.
func cutDocuments(state []byte, before []fingerprint.Print, seed maphash.Seed) []fingerprint.Print {
	documents := make([]fingerprint.Print, 0, len(before))
	for next := 0; len(state) > 0; next++ {
		i := fingerprint.Begins(state, len(before), func(i int) fingerprint.Print { return before[i] }, next, seed, endsBefore)
		if i >= 0 {
			next = i
			documents = append(documents, before[i])
		} else {
			documents = append(documents, fingerprint.Of(state[:end(state)], seed))
		}
		state = state[documents[len(documents)-1].Len():]
	}
	return documents
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
