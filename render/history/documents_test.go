package history

import (
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
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

// TestGivenCut: entries come back whoever cut their state, and are small where the same
// did as before.
func TestGivenCut(t *testing.T) {
	l, seed := Open(t.TempDir(), Limits{Entries: 100}), maphash.MakeSeed()
	text := ""
	for i := range 1000 {
		text += fmt.Sprintf("---\nport: %d\n", i)
	}
	for i := range uint64(8) {
		e := Entry{Result: Proven, Generation: i, State: []byte(strings.Replace(text, "port: 7\n", fmt.Sprintf("port: x%d\n", i), 1))}
		if i == 6 {
			seed = maphash.MakeSeed() // of somebody else
		}
		if i != 4 {
			e.Cut = &fingerprint.Cut{Seed: seed, Parts: cutDocuments(e.State, nil, seed)}
		}
		add(t, l, e)
		got, err := l.Get(i + 1)
		if err != nil || string(got.State) != string(e.State) {
			t.Fatalf("entry %d is not what was kept: %v", i+1, err)
		}
		info, err := os.Stat(filepath.Join(l.folder, fileName(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		if whole := i == 0 || i == 6; whole != (info.Size() > int64(len(text))) {
			t.Errorf("entry %d has %d bytes, whole: %t", i+1, info.Size(), whole)
		}
	}
}
