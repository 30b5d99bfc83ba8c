package serve_test

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft/cmd/weft/serve"
	"weft/state"
	"weft/state/status"
)

// systemd is the other end of NOTIFY_SOCKET.
type systemd struct {
	t        *testing.T
	messages chan string
	heard    []string
}

func listenAsSystemd(t *testing.T) *systemd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	d := &systemd{t: t, messages: make(chan string, 1000)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			for line := range strings.SplitSeq(strings.TrimRight(string(b[:n]), "\n"), "\n") {
				d.messages <- line
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return d
}

// hears waits for a line, and reports whether not came before it.
func (d *systemd) hears(line, not string) (before bool) {
	d.t.Helper()
	for {
		select {
		case m := <-d.messages:
			d.heard = append(d.heard, m)
			if m == line {
				return before
			}
			before = before || m == not
		case <-time.After(10 * time.Second):
			d.t.Fatalf("systemd never hears %q, but %q", line, d.heard)
		}
	}
}

func TestNotify(t *testing.T) {
	d := listenAsSystemd(t)
	t.Setenv("WATCHDOG_USEC", "300000")
	recorder := status.New("n1", "weft run", "", status.Watcher, status.Applier)
	r := run(t, &serve.Server{Recorder: recorder})
	d.hears("STATUS=the source has not told all yet, no state was written; 1 more", "")
	d.hears("WATCHDOG=1", "")
	st := &state.State{Generation: 7}
	recorder.Written(st)
	if d.hears("STATUS=no rules were proven yet", "READY=1") {
		t.Error("ready before the first proof")
	}
	recorder.Proven(&status.Rules{State: st})
	d.hears("READY=1", "")
	d.hears("STATUS=generation 7 proven", "")
	recorder.Failed(status.Apply, errors.New("nft:\nno"))
	d.hears("STATUS=apply: nft: no", "")
	recorder.Alive(status.Applier, -time.Second)
	d.hears("STATUS=the applier does not move; 1 more", "")
	for len(d.messages) > 0 {
		<-d.messages
	}
	time.Sleep(500 * time.Millisecond)
	if len(d.messages) > 0 {
		t.Errorf("a loop hangs, and systemd hears %q", <-d.messages)
	}
	r.stop()
	if d.hears("STOPPING=1", "READY=1") {
		t.Error("ready twice")
	}
}

// TestNotifyUnwatched is a unit without WatchdogSec.
func TestNotifyUnwatched(t *testing.T) {
	d := listenAsSystemd(t)
	recorder := status.New("n1", "weft run", "", status.Applier)
	r := run(t, &serve.Server{Recorder: recorder})
	d.hears("STATUS=no rules were proven yet", "")
	r.stop()
	if d.hears("STOPPING=1", "WATCHDOG=1") {
		t.Error("nobody asked for the watchdog")
	}
}
