package watch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"weft/state"
	"weft/state/status"
	"weft/state/watch"
)

// stuck is a source that hangs once it is told to.
type stuck struct {
	*source
	hang chan struct{}
}

func (s *stuck) State() *state.State {
	if s.hang != nil {
		<-s.hang
	}
	return s.source.State()
}

// TestHangs has the source not come back: the loop is live for as long as a pass may
// take, and then no more, until it moves.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := status.New("n1", "test", "", status.Watcher)
		s := &stuck{}
		r := run(t, with(30000, ""), func(l *watch.Loop) {
			s.source = l.Source.(*source)
			l.Source, l.Status = s, recorder
		})
		time.Sleep(time.Hour)
		if h := recorder.Health(); !h.Live || !h.Ready {
			t.Fatalf("after an hour without a change: %+v", h)
		}
		s.hang = make(chan struct{})
		s.changed()
		time.Sleep(time.Minute)
		if h := recorder.Health(); !h.Live {
			t.Errorf("not live though a pass may take this long: %+v", h)
		}
		time.Sleep(10 * time.Minute)
		h := recorder.Health()
		if h.Live || h.Reasons[0].Message != "the watcher does not move" {
			t.Errorf("hangs, and is %+v", h)
		}
		close(s.hang)
		synctest.Wait()
		if h := recorder.Health(); !h.Live {
			t.Errorf("moves again, and is not live: %+v", h)
		}
		r.end()
	})
}
