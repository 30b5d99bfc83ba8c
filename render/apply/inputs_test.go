package apply_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft/render/apply"
	"weft/state"
)

// TestStateOfTheWriter: what the writer of the file holds is taken from there while the
// file is as it was written, and what the history keeps is the file.
func TestStateOfTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.yaml")
	store := state.NewStore(path)
	st := crowd(5)
	write := func(st *state.State) {
		t.Helper()
		if written, err := store.Write(st, time.Now()); !written || err != nil {
			t.Fatal(written, err)
		}
	}
	text := func() string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	l := &apply.Loop{StateFile: path, Written: store.Held, Log: slog.New(slog.DiscardHandler)}
	for i := range 3 {
		st = with(st, i, func(sp *state.ServicePort) { sp.Endpoints[0].Port++ })
		write(st)
		if got, kept := l.ReadState(); got != store.Last() || kept != text() {
			t.Errorf("write %d: the state was not taken from its writer, or the history has another", i)
		}
	}
	got, _ := l.ReadState()
	if got == store.Last() || got.ServicePorts[0] != store.Last().ServicePorts[0] {
		t.Error("asked again, it did not look into the file, or keeps twice what is the same")
	}
	byHand := strings.Replace(text(), "port: 8081", "port: 8089", 1)
	if err := os.WriteFile(path, []byte(byHand), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, kept := l.ReadState(); got.ServicePorts[0].Endpoints[0].Port != 8089 || kept != byHand {
		t.Errorf("what was written by hand was not read: %v", got.ServicePorts[0].Endpoints[0])
	}
	write(with(st, 3, func(sp *state.ServicePort) { sp.Endpoints[0].Port = 9999 }))
	if got, _ := l.ReadState(); got != store.Last() || got.ServicePorts[3].Endpoints[0].Port != 9999 {
		t.Error("the next write was not taken")
	}
}
