package history

import (
	"hash/maphash"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weft/state/fingerprint"
)

// TestDocuments: a state is cut in the same places whatever stood before.
func TestDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"---\na\n", "---\nb\n", "---\n", "a\n", "--- c\n", "\n---", "---\na"})
		before := rapid.SliceOfN(part, 0, 6).Draw(t, "before")
		after := slices.Clone(before)
		for range rapid.IntRange(0, 3).Draw(t, "edits") {
			i := rapid.IntRange(0, len(after)).Draw(t, "at")
			n := rapid.IntRange(0, min(2, len(after)-i)).Draw(t, "gone")
			after = slices.Replace(after, i, i+n, rapid.SliceOfN(part, 0, 2).Draw(t, "new")...)
		}
		text := []byte(strings.Join(after, ""))
		seed := maphash.MakeSeed()
		known := cutDocuments([]byte(strings.Join(before, "")), nil, seed)
		got, want := cutDocuments(text, known, seed), cutDocuments(text, nil, seed)
		again, of := "", textsOf(text, got)
		for i := range got {
			again += of(i)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(fingerprint.Print{})); d != "" || again != string(text) {
			t.Error(d, again)
		}
	})
}
