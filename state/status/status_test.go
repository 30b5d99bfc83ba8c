package status_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/state"
	"weft/state/status"
)

func rules(generation uint64, text string) *status.Rules {
	return &status.Rules{State: &state.State{Generation: generation}, Set: "cascade", Table: "weft", Text: func() string { return text }, Heartbeat: time.Minute}
}

func TestHealth(t *testing.T) {
	both := []status.Part{status.Watcher, status.Applier}
	begun := func(r *status.Recorder) {
		r.Written(&state.State{Generation: 1})
		r.Proven(rules(1, "a"))
	}
	tests := []struct {
		name                 string
		parts                []status.Part
		do                   func(*status.Recorder)
		live, ready, healthy bool
		reasons              []string
	}{
		{"at the start", both, nil, true, false, false, []string{"the source has not told all yet", "no rules were proven yet"}},
		{"only watched", both, func(r *status.Recorder) { r.Written(&state.State{}) }, true, false, false, []string{"no rules were proven yet"}},
		{"begun", both, begun, true, true, true, nil},
		{"a watcher needs no proof", both[:1], func(r *status.Recorder) { r.Written(&state.State{}) }, true, true, true, nil},
		{"an applier needs no source", both[1:], func(r *status.Recorder) { r.Proven(rules(1, "a")) }, true, true, true, nil},
		{"something fails", both, func(r *status.Recorder) {
			begun(r)
			r.Failed(status.Templates, errors.New("a.tmpl:1: no"))
		}, true, true, false, []string{"templates: a.tmpl:1: no"}},
		{"it is over", both, func(r *status.Recorder) {
			begun(r)
			r.Failed(status.Templates, errors.New("no"))
			r.Failed(status.Templates, nil)
		}, true, true, true, nil},
		{"let go", both, func(r *status.Recorder) {
			begun(r)
			r.LetGo("the state is too old")
		}, true, true, false, []string{"let go, kube-proxy serves: the state is too old"}},
		{"the proof is lost", both, func(r *status.Recorder) {
			begun(r)
			r.Disclaim()
		}, true, true, true, nil}, // what failed says so
		{"a loop that moves", both, func(r *status.Recorder) {
			begun(r)
			for range 10 {
				r.Alive(status.Watcher, 90*time.Second)
				r.Alive(status.Applier, 90*time.Second)
				time.Sleep(time.Minute)
			}
		}, true, true, true, nil},
		{"a loop that hangs", both, func(r *status.Recorder) {
			begun(r)
			r.Alive(status.Watcher, time.Hour)
			r.Alive(status.Applier, time.Minute)
			time.Sleep(61 * time.Second)
		}, false, true, false, []string{"the applier does not move"}},
		{"a loop that never began", both, func(r *status.Recorder) {
			begun(r)
			r.Alive(status.Watcher, time.Hour)
			time.Sleep(10 * time.Minute)
		}, false, true, false, []string{"the applier does not move"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := status.New("n1", "weft run", "v1", tt.parts...)
				if tt.do != nil {
					tt.do(r)
				}
				h := r.Health()
				if h.Live != tt.live || h.Ready != tt.ready || h.Healthy != tt.healthy || len(h.Reasons) != len(tt.reasons) {
					t.Fatalf("Health() = %+v, want live %v, ready %v, healthy %v, reasons %q", h, tt.live, tt.ready, tt.healthy, tt.reasons)
				}
				for i, want := range tt.reasons {
					if !strings.HasPrefix(h.Reasons[i].Message, want) {
						t.Errorf("reason %d is %q, want %q", i, h.Reasons[i].Message, want)
					}
				}
				if diff := cmp.Diff(h, r.Status().Health); diff != "" {
					t.Errorf("Status says otherwise: -Health() +Status()\n%s", diff)
				}
			})
		})
	}
}

func TestProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := status.New("n1", "weft run", "v1", status.Applier)
		start := time.Now()
		check := func(wanted, applied, proven uint64, since, checked time.Time) {
			t.Helper()
			h := r.Status().Rules
			if h.Wanted != wanted || h.Applied != applied || h.Proven != proven || !h.Since.Equal(since) || !h.Checked.Equal(checked) {
				t.Errorf("wanted %d, applied %d, proven %d, since %v, checked %v; want %d, %d, %d, %v, %v",
					h.Wanted, h.Applied, h.Proven, h.Since, h.Checked, wanted, applied, proven, since, checked)
			}
		}
		r.Wanted(&state.State{Generation: 7})
		check(7, 0, 0, time.Time{}, time.Time{})
		r.Loaded(7)
		check(7, 7, 0, start, time.Time{})
		r.Proven(rules(7, "a"))
		check(7, 7, 7, start, start)
		time.Sleep(time.Minute)
		r.Proven(rules(7, "a"))
		check(7, 7, 7, start, start.Add(time.Minute))
		r.Wanted(&state.State{Generation: 8})
		check(8, 7, 7, start, start.Add(time.Minute))
		r.Disclaim()
		check(8, 7, 0, time.Time{}, time.Time{})
		r.Loaded(8)
		r.Proven(rules(8, "b"))
		check(8, 8, 8, start.Add(time.Minute), start.Add(time.Minute))
	})
}

func TestStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := status.New("n1", "weft run", "v1", status.Applier)
		start := time.Now()
		r.Took(status.Verify, 3*time.Millisecond)
		r.Took(status.Verify, time.Hour)
		time.Sleep(time.Second)
		r.Failed(status.Read, errors.New("first"))
		time.Sleep(time.Second)
		r.Failed(status.Read, errors.New("second"))
		r.Failed(status.Render, errors.New("over"))
		r.Failed(status.Render, nil)
		want := []status.Work{
			{Stage: status.Read, Failures: 2, Error: "second", Since: start.Add(time.Second), LastError: "second", Failed: start.Add(2 * time.Second)},
			{Stage: status.Render, Failures: 1, LastError: "over", Failed: start.Add(2 * time.Second)},
			{
				Stage: status.Verify, Count: 2, LastSeconds: 3600, MeanSeconds: 1800.0015, Last: start,
				Durations: status.Histogram{Counts: []uint64{0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, Count: 2, Sum: 3600.003},
			},
		}
		if diff := cmp.Diff(want, r.Status().Stages); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

func TestSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := status.New("n1", "weft run", "v1", status.Applier)
		start := time.Now()
		for i := range 200 {
			st := &state.State{Nodes: []state.Node{{Name: "a", Latency: &state.Latency{Seconds: float64(i)}}, {Name: "b", CPU: &state.CPU{Ratio: 0.5}}}}
			if i == 199 {
				st.Nodes = st.Nodes[:1]
			}
			r.Wanted(st)
			r.Written(st) // as weft run does, of the same state
			time.Sleep(30 * time.Second)
		}
		all := r.Samples()
		if len(all) != 1 || len(all["a"]) != 120 {
			t.Fatalf("%d nodes, %d samples of a; want the node that is left, and an hour of it", len(all), len(all["a"]))
		}
		for i, s := range all["a"] {
			at := start.Add(time.Duration(80+i) * 30 * time.Second).Unix()
			if s.Unix != at || s.Latency != float32(80+i) || !math.IsNaN(float64(s.CPU)) {
				t.Fatalf("sample %d is %+v, want the latency %d at %d", i, s, 80+i, at)
			}
		}
	})
}

func TestEvents(t *testing.T) {
	r := status.New("n1", "weft run", "v1", status.Applier)
	var text strings.Builder
	log := slog.New(r.Handler(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))).With(status.ComponentKey, "apply")
	log.Debug("too small")
	for range 70 {
		log.Info("filling")
	}
	log.With("generation", 7).Warn("rules changed", "by", "nft")
	events := r.Status().Events
	last := events[len(events)-1]
	last.Time = time.Time{}
	want := status.Event{Level: "WARN", Component: "apply", Message: "rules changed", Details: "generation=7 by=nft"}
	if diff := cmp.Diff(want, last); diff != "" || len(events) != 64 {
		t.Errorf("%d events, the last -want +got\n%s", len(events), diff)
	}
	if strings.Count(text.String(), "\n") != 72 || !strings.Contains(text.String(), "component=apply generation=7 by=nft") {
		t.Errorf("the log lacks something:\n%s", &text)
	}
}

// TestNil is what a loop under test has.
func TestNil(*testing.T) {
	var r *status.Recorder
	r.Alive(status.Applier, time.Second)
	r.Took(status.Apply, time.Second)
	r.Failed(status.Apply, errors.New("x"))
	r.Good(status.FromState, time.Now())
	r.Written(&state.State{})
	r.Wanted(&state.State{})
	r.Loaded(1)
	r.Proven(rules(1, ""))
	r.Disclaim()
	r.Repaired("")
	r.Beat()
	r.LetGo("")
	_, _, _ = r.Status(), r.Health(), r.Samples()
	slog.New(r.Handler(slog.DiscardHandler)).Info("x")
}

// TestReaders looks while both halves report: the race detector judges.
func TestReaders(t *testing.T) {
	r := status.New("n1", "weft run", "v1", status.Watcher, status.Applier)
	log := slog.New(r.Handler(slog.DiscardHandler))
	var g sync.WaitGroup
	for range 2 {
		g.Go(func() {
			for i := range uint64(200) {
				r.Written(&state.State{Generation: i, Nodes: []state.Node{{Name: "a"}}})
				r.Proven(&status.Rules{State: &state.State{Generation: i}, LeftOut: map[string]string{"a": "b"}})
				r.Failed(status.Apply, errors.New("x"))
				r.Took(status.Apply, time.Second)
				log.Info("x")
			}
		})
		g.Go(func() {
			for range 100 {
				if _, err := json.Marshal(r.Status()); err != nil {
					t.Error(err)
				}
				r.Samples()
			}
		})
	}
	g.Wait()
}

func TestAgent(t *testing.T) {
	a := status.New("n1", "weft run", "v1", status.Watcher).Status().Agent
	if a.PID != os.Getpid() || a.Command != "weft run" || a.Started.IsZero() {
		t.Errorf("agent %+v", a)
	}
}

func BenchmarkReport(b *testing.B) {
	r := status.New("n1", "weft run", "v1", status.Applier)
	st := &state.State{Generation: 1}
	b.ReportAllocs()
	for b.Loop() {
		r.Wanted(st)
		r.Took(status.Apply, time.Millisecond)
	}
}

// TestProgramming follows changes of endpoints from what led to them to the proof.
func TestProgramming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := status.New("n1", "weft run", "", status.Watcher, status.Applier)
		took := func(want ...float64) {
			t.Helper()
			h, sum := r.Status().Programming, 0.0
			for _, w := range want {
				sum += w
			}
			if h.Count != uint64(len(want)) || math.Abs(h.Sum-sum) > 1e-9 {
				t.Errorf("%d changes took %v s, want %v", h.Count, h.Sum, want)
			}
		}
		r.Triggered(time.Now().Add(-time.Hour)) // before the start
		time.Sleep(time.Second)
		r.Written(&state.State{Generation: 1})
		r.Proven(rules(1, ""))
		took()
		at := time.Now()
		r.Triggered(at)
		time.Sleep(time.Second)
		r.Written(&state.State{Generation: 2})
		r.Triggered(time.Now()) // generation 2 does not have it
		time.Sleep(time.Second)
		r.Proven(rules(2, ""))
		took(2)
		r.Written(&state.State{Generation: 2}) // and it changes nothing
		took(2, 1)
		r.Triggered(time.Now().Add(time.Hour)) // another clock
		r.Written(&state.State{Generation: 3})
		r.Written(&state.State{Generation: 4})
		r.Proven(rules(4, ""))
		took(2, 1, 0)
	})
}
