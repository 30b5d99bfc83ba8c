package apply_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/render"
	"weft/render/apply"
	"weft/state/status"
)

// TestHangs has the state file become a pipe that nobody writes to: the loop hangs
// in opening it. It is not live any more until somebody does.
func TestHangs(t *testing.T) {
	r, recorder := watched(t, render.Vars{"heartbeat": "1s"}, func(l *apply.Loop) { l.HangsAfter(500 * time.Millisecond) })
	r.next()
	time.Sleep(1500 * time.Millisecond) // longer than it may be silent
	if h := recorder.Health(); !h.Live {
		t.Fatalf("a loop that moves is not live: %+v", h)
	}
	path := filepath.Join(r.dir, "state.yaml")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r.changes <- apply.StateChanged
	s := becomes(t, recorder, "hanging", func(s status.Status) bool { return !s.Health.Live })
	if reason := s.Health.Reasons[0]; reason.Fails != status.NotLive || reason.Message != "the applier does not move" {
		t.Errorf("reason %+v", reason)
	}
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	becomes(t, recorder, "live again", func(s status.Status) bool { return s.Health.Live })
}
