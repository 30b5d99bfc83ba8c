package watch_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"weft/state"
	"weft/state/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a watch.Source whose state the test sets.
type source struct {
	mu      sync.Mutex
	state   *state.State
	changed func()
	ready   chan struct{}
	fail    chan error
}

func newSource(st *state.State) *source {
	return &source{state: st, ready: make(chan struct{}), fail: make(chan error)}
}

func (s *source) Run(ctx context.Context, changed func()) error {
	s.changed = changed
	close(s.ready)
	select {
	case err := <-s.fail:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *source) State() *state.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *source) set(st *state.State) {
	s.mu.Lock()
	s.state = st
	s.mu.Unlock()
	s.changed()
}

// with is a state in which the ServicePort web has the nodePort.
func with(nodePort uint16, skipped string) *state.State {
	p := &state.ServicePort{Namespace: "default", Name: "web", Protocol: state.TCP, NodePort: nodePort, Skipped: skipped}
	if skipped == "" {
		p.Endpoints = []state.Endpoint{{Address: netip.MustParseAddr("10.1.0.1"), Port: 80, Share: 1}}
	}
	return &state.State{
		Node: "n1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")},
		Nodes:        []state.Node{{Name: "n1", Address: netip.MustParseAddr("10.0.0.1")}},
		ServicePorts: []*state.ServicePort{p},
	}
}

// running is a loop under test. Times are since its start.
type running struct {
	t      *testing.T
	source *source
	store  *state.Store
	path   string
	log    bytes.Buffer
	start  time.Time
	kept   []time.Duration
	last   atomic.Pointer[state.State]
	cancel context.CancelFunc
	ended  chan error
}

func run(t *testing.T, st *state.State, change func(*watch.Loop)) *running {
	t.Helper()
	r := &running{t: t, source: newSource(st), path: filepath.Join(t.TempDir(), "state.yaml"), start: time.Now(), ended: make(chan error, 1)}
	r.store = state.NewStore(r.path)
	written := uint64(0)
	loop := &watch.Loop{
		Source: r.source, Store: r.store, MinInterval: 100 * time.Millisecond, MaxInterval: 500 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Kept: func(st *state.State) {
			r.last.Store(st)
			if st.Generation != written {
				r.kept = append(r.kept, time.Since(r.start))
				written = st.Generation
			}
		},
	}
	if change != nil {
		change(loop)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.ended <- loop.Run(ctx) }()
	<-r.source.ready
	synctest.Wait()
	return r
}

func (r *running) end() {
	r.t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run = %v, want no error when it is told to stop", err)
	}
}

// at makes a change at a time.
func (r *running) at(since time.Duration, st *state.State) {
	time.Sleep(time.Until(r.start.Add(since)))
	r.source.set(st)
	synctest.Wait()
}

func ms(n ...int) (d []time.Duration) {
	for _, n := range n {
		d = append(d, time.Duration(n)*time.Millisecond)
	}
	return d
}

func TestDebounce(t *testing.T) {
	tests := []struct {
		name          string
		changes, want []time.Duration
	}{
		{"a change after a pause is written at once", ms(1000, 2000, 2100), ms(0, 1000, 2000, 2100)},
		{"a burst is written when it pauses", ms(1000, 1010, 1050, 1090), ms(0, 1000, 1190)},
		{"a burst that does not end is written now and then", ms(1000, 1050, 1100, 1150, 1200, 1250, 1300, 1350, 1400, 1450, 1500, 1550, 1600, 1650), ms(0, 1000, 1550, 1750)},
		{"the same again is no write", ms(1000, 1000), ms(0, 1000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, with(29999, ""), nil)
				for i, at := range tt.changes {
					port := uint16(30000 + i)
					if i > 0 && at == tt.changes[i-1] {
						port--
					}
					r.at(at, with(port, ""))
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if diff := cmp.Diff(tt.want, r.kept); diff != "" {
					t.Errorf("writes: -want +got\n%s", diff)
				}
				r.end()
			})
		})
	}
}

func TestNothingBeforeAllIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil, nil)
		time.Sleep(time.Hour)
		if _, err := os.Stat(r.path); err == nil {
			t.Error("a state was written before the source knew one")
		}
		r.source.set(with(30000, ""))
		synctest.Wait()
		if diff := cmp.Diff([]time.Duration{time.Hour}, r.kept); diff != "" {
			t.Errorf("writes: -want +got\n%s", diff)
		}
		r.end()
	})
}

// TestRenewal checks that the file is vouched for as long as the source does,
// and no longer.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, with(30000, ""), nil)
		oldest := time.Duration(0)
		for range 600 {
			time.Sleep(time.Second)
			synctest.Wait()
			oldest = max(oldest, time.Since(r.last.Load().Written))
		}
		if oldest > r.store.Renewal*4/3 {
			t.Errorf("the file was %v old, want at most four thirds of %v", oldest, r.store.Renewal)
		}
		lost := with(30000, "")
		lost.Written = time.Now()
		r.source.set(lost)
		time.Sleep(time.Hour)
		other := with(30001, "")
		other.Written = lost.Written
		r.source.set(other)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.last.Load(); got.ServicePorts[0].NodePort != 30001 || !got.Written.Equal(lost.Written.Truncate(time.Millisecond).UTC()) {
			t.Errorf("written = %v with nodePort %d, want %v as the source says, with 30001", got.Written, got.ServicePorts[0].NodePort, lost.Written)
		}
		r.end()
	})
}

// TestMeasurementsAlone are written a little later, and need no further change.
func TestMeasurementsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, with(30000, ""), nil)
		measured := with(30000, "")
		measured.Nodes[0].Latency = &state.Latency{Seconds: 0.001, Measured: time.Now()}
		r.at(time.Second, measured)
		for range 2 {
			if got := r.last.Load(); (got.Nodes[0].Latency != nil) != (time.Since(r.start) > r.store.Interval) {
				t.Errorf("after %v the latency is %v, want it to be written after %v", time.Since(r.start), got.Nodes[0].Latency, r.store.Interval)
			}
			time.Sleep(r.store.Interval + time.Second)
			synctest.Wait()
		}
		r.end()
	})
}

func TestReasonsAreSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, with(30000, ""), nil)
		steps := []*state.State{
			with(30000, "no endpoint serves"), with(30000, "no endpoint serves"),
			with(30000, "externalTrafficPolicy is Local"), with(30000, ""), with(30001, "no endpoint serves"),
		}
		for i, st := range steps {
			r.at(time.Duration(i+1)*time.Second, st)
		}
		r.end()
		want := []string{
			`"ServicePort left to kube-proxy" servicePort=default/web protocol=tcp nodePort=30000 reason="no endpoint serves"`,
			`"ServicePort left to kube-proxy" servicePort=default/web protocol=tcp nodePort=30000 reason="externalTrafficPolicy is Local"`,
			`"ServicePort steered" servicePort=default/web protocol=tcp nodePort=30000`,
			`"ServicePort left to kube-proxy" servicePort=default/web protocol=tcp nodePort=30001 reason="no endpoint serves"`,
		}
		if diff := cmp.Diff(want, lines(r.log.String(), "ServicePort ")); diff != "" {
			t.Errorf("log: -want +got\n%s", diff)
		}
	})
}

// TestReasonsAtTheStart are said where no earlier run has said them.
func TestReasonsAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, with(30000, "no endpoint serves"), nil)
		r.at(time.Second, with(30000, "no endpoint serves"))
		r.end()
		want := []string{`"ServicePort left to kube-proxy" servicePort=default/web protocol=tcp nodePort=30000 reason="no endpoint serves"`}
		if diff := cmp.Diff(want, lines(r.log.String(), "ServicePort ")); diff != "" {
			t.Errorf("log: -want +got\n%s", diff)
		}
	})
}

// lines are the messages that contain text, without time and level.
func lines(log, text string) (found []string) {
	for line := range strings.Lines(log) {
		if _, message, ok := strings.Cut(strings.TrimSpace(line), "msg="); ok && strings.Contains(message, text) {
			found = append(found, message)
		}
	}
	return found
}

// TestWriteFails takes the folder away for a while.
func TestWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, with(30000, ""), nil)
		dir := filepath.Dir(r.path)
		if err := errors.Join(os.Rename(dir, dir+".away"), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		r.at(time.Second, with(30001, ""))
		time.Sleep(20 * time.Second)
		if err := errors.Join(os.Remove(dir), os.Rename(dir+".away", dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := r.last.Load().ServicePorts[0].NodePort; got != 30001 {
			t.Errorf("nodePort = %d, want 30001 written by a later try", got)
		}
		r.end()
		got := lines(r.log.String(), "ritten")
		got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, `"state written" `) })
		if len(got) != 2 || !strings.HasPrefix(got[0], `"state not written`) || got[1] != `"state written again"` {
			t.Errorf("log = %q, want one complaint and its end", got)
		}
	})
}

func TestFirstWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, with(30000, ""), func(l *watch.Loop) { l.Store = state.NewStore("/dev/null/state.yaml") })
		if err := <-r.ended; err == nil {
			t.Error("Run = nil, want the error of the first write")
		}
		r.cancel()
	})
}

func TestSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, nil, nil)
		want := errors.New("no such source")
		r.source.fail <- want
		if err := <-r.ended; !errors.Is(err, want) {
			t.Errorf("Run = %v, want %v", err, want)
		}
		r.cancel()
	})
}

// meter and weigher prove the order: measure, then weigh.
type meter struct{ aimed []*state.State }

func (*meter) Run(ctx context.Context, _ func()) error { <-ctx.Done(); return ctx.Err() }
func (m *meter) Aim(st *state.State)                   { m.aimed = append(m.aimed, st) }
func (*meter) Measure(nodes []state.Node) {
	nodes[0].Latency = &state.Latency{Seconds: 0.001, Measured: time.Now()}
}

type weigher struct{ calls []time.Time }

func (w *weigher) Weigh(gathered, before *state.State, now time.Time) (*state.State, time.Duration) {
	w.calls = append(w.calls, now)
	if (before == nil) != (len(w.calls) == 1) || gathered.Nodes[0].Latency == nil {
		return nil, 0
	}
	p := *gathered.ServicePorts[0]
	p.NodePort++
	gathered.ServicePorts = []*state.ServicePort{&p}
	return gathered, 10 * time.Second
}

func TestMeasureAndWeigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := &meter{}, &weigher{}
		st := with(30000, "")
		r := run(t, st, func(l *watch.Loop) { l.Meters, l.Weigher = []watch.Meter{m}, w })
		time.Sleep(25 * time.Second)
		r.end()
		if len(w.calls) != 3 || w.calls[2].Sub(w.calls[0]) != 20*time.Second {
			t.Errorf("weighed at %v, want three times, 10 s apart as the weigher asked", w.calls)
		}
		if len(m.aimed) != 3 || m.aimed[0] != st || st.Nodes[0].Latency != nil || st.ServicePorts[0].NodePort != 30000 {
			t.Error("the state of the source was not handed to the meter, or was changed")
		}
		last := r.last.Load()
		if last.ServicePorts[0].NodePort != 30001 || last.Nodes[0].Latency == nil {
			t.Errorf("the file holds %+v, want what was measured and weighed", last)
		}
	})
}
