package state

import (
	"hash/maphash"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weft/state/fingerprint"
)

// TestSplitLike: documents are found in the same places whatever the file before
// was, and the one that is said to be the same is.
func TestSplitLike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"---\na: 1\n", "---\na: 2\n", "---\nb: 1\n", "--- c: 1\n", "---\n", "---\n# x\n", "---\na: |\n  x\n", "---\na: 1\n\n---x: 2\n", "# y\n", "---\r\nd: 1\n"})
		before := rapid.SliceOfN(part, 0, 8).Draw(t, "before")
		after := slices.Clone(before)
		for range rapid.IntRange(0, 3).Draw(t, "edits") {
			i := rapid.IntRange(0, len(after)).Draw(t, "at")
			n := rapid.IntRange(0, min(2, len(after)-i)).Draw(t, "gone")
			after = slices.Replace(after, i, i+n, rapid.SliceOfN(part, 0, 2).Draw(t, "new")...)
		}
		head := rapid.SampledFrom([]string{"h: 1\n", "", "# z\n", "---\nh: 1\n"}).Draw(t, "head")
		old, data := []byte(head+strings.Join(before, "")), []byte(head+strings.Join(after, ""))
		docs, seed := split(old)[1:], maphash.MakeSeed()
		var known []record
		for _, doc := range docs {
			known = append(known, record{text: fingerprint.Of(doc.text, seed)})
		}
		got, want := splitLike(data, known, seed, split(old)[:0]), split(data)
		for i := range got {
			if s := got[i].same; s >= 0 && string(docs[s].text) != string(got[i].text) {
				t.Errorf("document %d: %q is said to be the same as %q", i, got[i].text, docs[s].text)
			}
			got[i].same = -1
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(document{})); d != "" {
			t.Errorf("%q after %q: %s", data, old, d)
		}
	})
}
