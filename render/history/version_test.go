package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// firstEntry is an entry as the first weft wrote it, which named no version.
const firstEntry = `{"id":1,"time":"2026-11-23T12:00:00Z","generation":7,"set":"cascade","result":"proven","table":"weft",` +
	`"textBytes":16,"stateBytes":6,"digest":"DIGEST"}` + "\ntable ip weft {}state\n"

// edited writes the file of an entry anew.
func edited(t *testing.T, l *Log, id uint64, from, to string) {
	t.Helper()
	path := filepath.Join(l.folder, fileName(id))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), from, to, 1)
	if changed == string(text) {
		t.Fatalf("%s is not in %s", from, text)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOlderEntry(t *testing.T) {
	l := Open(t.TempDir(), Limits{})
	text := strings.Replace(firstEntry, "DIGEST", digest("table ip weft {}"), 1)
	if err := os.WriteFile(filepath.Join(l.folder, fileName(1)), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e, ok, err := l.Last()
	if e.Generation != 7 || e.Text != "table ip weft {}" || string(e.State) != "state\n" || !ok || err != nil {
		t.Errorf("got %+v, %v, %v", e, ok, err)
	}
}

// TestNewerEntry is a weft that goes on where a newer one was: it takes nothing for
// what it is not, and keeps its own entries behind those that it cannot read.
func TestNewerEntry(t *testing.T) {
	tests := []struct{ name, from, to, err string }{
		{"another version", `"apiVersion":"weft/v1"`, `"apiVersion":"weft/v2"`, `got apiVersion "weft/v2", this build reads weft/v1`},
		{"a field that is not known", `"result":"proven"`, `"result":"proven","dryRun":true`, `unknown field "dryRun"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := Open(t.TempDir(), Limits{})
			add(t, l, entry(Proven, "a"), entry(Proven, "b"))
			edited(t, l, 2, tt.from, tt.to)
			entries, err := l.List()
			if len(entries) != 1 || err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("listed %d entries, %v, want 1 and %q", len(entries), err, tt.err)
			}
			if _, err := l.Get(2); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got entry 2: %v, want %q", err, tt.err)
			}
			if e, ok, err := l.Last(); ok || err == nil {
				t.Errorf("proven last: %q, %v, though entry 2 cannot be read", e.Text, err)
			}
			l = Open(l.folder, Limits{})
			add(t, l, entry(Proven, "c"))
			if e, ok, err := l.Last(); e.ID != 3 || e.Text != "c" || !ok || err != nil {
				t.Errorf("proven last: %d %q, %v", e.ID, e.Text, err)
			}
		})
	}
}

func TestNewerPin(t *testing.T) {
	l := Open(t.TempDir(), Limits{})
	add(t, l, entry(Proven, "a"))
	e, err := l.Get(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := Pin(l.folder, e); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(PinFile(l.folder))
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(text), "weft/v1", "weft/v2", 1)
	if err := os.WriteFile(PinFile(l.folder), []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := Pinned(l.folder); ok || err == nil || !strings.Contains(err.Error(), `apiVersion "weft/v2"`) {
		t.Errorf("pinned: %v, %v", ok, err)
	}
}
