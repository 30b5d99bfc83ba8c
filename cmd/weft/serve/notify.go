package serve

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"weft/state/status"
)

// The times between two looks at what systemd should know.
const (
	starting = 200 * time.Millisecond
	started  = 5 * time.Second
)

// notify tells systemd, if it started us and wants to know: READY when the first
// rules are proven, WATCHDOG as long as every loop moves, and STATUS in words.
func (s *Server) notify(ctx context.Context) error {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil // nobody wants to know
	}
	interval, watched := s.watchdog()
	ready, said := false, ""
	for {
		h := s.Recorder.Health()
		message := ""
		if h.Ready && !ready {
			message, ready = daemon.SdNotifyReady+"\n", true
		}
		if h.Live && watched {
			message += daemon.SdNotifyWatchdog + "\n"
		}
		if text := summary(h, s.Recorder.Status().Rules); text != said {
			message, said = message+"STATUS="+text+"\n", text
		}
		s.tell(message)
		wait := interval
		if !ready {
			wait = min(starting, interval)
		}
		select {
		case <-ctx.Done():
			s.tell(daemon.SdNotifyStopping)
			return nil
		case <-time.After(wait):
		}
	}
}

// watchdog is how often to tell something, and whether systemd wants to hear that
// we live.
func (s *Server) watchdog() (every time.Duration, watched bool) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.Log.Warn("watchdog of systemd not understood", "error", err)
	}
	if within <= 0 {
		return started, false
	}
	return min(started, within/3), true
}

func (s *Server) tell(message string) {
	if message == "" {
		return
	}
	if _, err := daemon.SdNotify(false, message); err != nil {
		s.Log.Debug("systemd not told", "error", err)
	}
}

// summary is the state of the service on one line.
func summary(h status.Health, rules status.Held) string {
	if len(h.Reasons) > 0 {
		more := ""
		if n := len(h.Reasons) - 1; n > 0 {
			more = fmt.Sprintf("; %d more", n)
		}
		return sentence(status.Reason{Message: h.Reasons[0].Message}, time.Time{}) + more
	}
	if rules.Proven > 0 {
		return fmt.Sprintf("generation %d proven", rules.Proven)
	}
	return "watching"
}
