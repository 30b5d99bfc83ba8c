package apply

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	var r room
	defer r.letGo()
	for _, c := range []struct {
		name   string
		size   int
		mapped bool
	}{
		{"nothing", 0, false},
		{"small", 100, false},
		{"smaller", 10, false},
		{"almost large", largePage/2 - 2, false},
		{"large", largePage, true},
		{"larger", 3*largePage + 1, true},
		{"small again", 100, true}, // into the room that there is
		{"a whole room", 4 * largePage, true},
	} {
		want := bytes.Repeat([]byte("weft\n"), c.size/5+1)[:c.size]
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := r.read(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %d bytes, %v, want %d", c.name, len(got), err, len(want))
		}
		if r.mapped != c.mapped {
			t.Errorf("%s: mapped %v, want %v", c.name, r.mapped, c.mapped)
		}
	}
	if _, err := r.read(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("got %v, want a file that does not exist", err)
	}
	if r.letGo(); r.memory != nil {
		t.Error("there is room yet")
	}
	if got, err := r.read(path); err != nil || len(got) != 4*largePage {
		t.Errorf("after it was let go: got %d bytes, %v", len(got), err)
	}
}

// TestRoomOfAFileThatGrows reads what says to be smaller than it is.
func TestRoomOfAFileThatGrows(t *testing.T) {
	var r room
	defer r.letGo()
	got, err := r.read("/proc/self/status") // of a size of 0
	if err != nil || !bytes.HasPrefix(got, []byte("Name:")) || !bytes.HasSuffix(got, []byte("\n")) {
		t.Errorf("got %q, %v", got, err)
	}
}
