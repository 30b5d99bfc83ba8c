package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"weft/state"
)

func TestMain(m *testing.M) {
	if runNode() {
		return
	}
	goleak.VerifyTestMain(m)
}

// fake is a Prober that the test leads.
type fake struct {
	mu       sync.Mutex
	takes    time.Duration
	answers  func(node string, n int) (Round, error)
	rounds   map[string][]time.Time
	underWay int
	most     int
}

func (f *fake) Round(ctx context.Context, to Target) (Round, error) {
	f.mu.Lock()
	f.rounds[to.Node] = append(f.rounds[to.Node], time.Now())
	n := len(f.rounds[to.Node])
	f.underWay++
	f.most = max(f.most, f.underWay)
	f.mu.Unlock()
	sleep(ctx, f.takes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.underWay--
	if f.answers != nil {
		return f.answers(to.Node, n)
	}
	return Round{Value: 2 * ms, Source: "peer"}, nil
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 { // a timer that is due at once ended the race detector of go 1.26.8
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (f *fake) of(node string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rounds[node]
}

// cluster is a state with a node own and n nodes that have an endpoint each.
func cluster(n int) *state.State {
	st := &state.State{Node: "own", Nodes: []state.Node{{Name: "own", Address: netip.MustParseAddr("10.0.0.1")}}}
	p := &state.ServicePort{Name: "web", Protocol: state.TCP}
	for i := range n {
		name := fmt.Sprintf("node-%04d", i)
		st.Nodes = append(st.Nodes, state.Node{Name: name, Address: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})})
		p.Endpoints = append(p.Endpoints, state.Endpoint{Address: netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), Port: 80, Node: name})
	}
	st.ServicePorts = []*state.ServicePort{p}
	return st
}

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// watched is a Monitor that runs with a fake inside a bubble.
type watched struct {
	*Monitor
	*fake
	start   time.Time
	log     journal
	changes atomic.Int32
	stop    func()
}

func watching(t *testing.T, f *fake, st *state.State) *watched {
	t.Helper()
	f.rounds = map[string][]time.Time{}
	w := &watched{fake: f, start: time.Now()}
	w.Monitor = &Monitor{
		prober: f, interval: usual, atOnce: fewAtOnce, nodes: map[string]*record{}, wake: make(chan struct{}, 1),
		log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	w.Aim(st)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, func() { w.changes.Add(1) }) }()
	w.stop = func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want that it was canceled", err)
		}
	}
	return w
}

func (w *watched) at(d time.Duration) {
	time.Sleep(time.Until(w.start.Add(d)))
	synctest.Wait()
}

// A node is probed as soon as it is known, and then every five seconds, give or
// take a tenth, together with no more than three others. Which of them meet is chance,
// how many do is not.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watching(t, &fake{takes: 100 * ms}, cluster(10))
		defer w.stop()
		w.at(0)
		if got := len(w.of("node-0003")); got != 1 {
			t.Fatalf("%d rounds at the start, want 1", got)
		}
		w.at(150 * ms)
		nodes := []state.Node{{Name: "node-0003"}, {Name: "other"}}
		w.Measure(nodes)
		if l := nodes[0].Latency; l == nil || l.Seconds != 0.002 || l.Source != "peer" || !l.Measured.Equal(w.start.Add(100*ms)) {
			t.Errorf("latency = %+v, want 2 ms by peer, measured when the round ended", l)
		}
		if nodes[1].Latency != nil {
			t.Error("a node that nobody probes has a latency")
		}
		w.at(time.Minute)
		together := map[time.Time]int{}
		for i := range 10 {
			rounds := w.of(fmt.Sprintf("node-%04d", i))
			for k, at := range rounds[1:] {
				apart := at.Sub(rounds[k])
				if k == 0 && apart > usual || k > 0 && (apart < 4500*ms || apart > 5500*ms) {
					t.Errorf("round %d of node %d is %v after the one before", k+1, i, apart)
				}
			}
			if n := len(rounds); n < 11 || n > 15 {
				t.Errorf("%d rounds of node %d in a minute, want about 13", n, i)
			}
			for _, at := range rounds[1:] {
				together[at]++
			}
		}
		for at, n := range together {
			if n > fewAtOnce {
				t.Errorf("%d nodes are probed at once after %v, want %d at most", n, at.Sub(w.start), fewAtOnce)
			}
		}
	})
}

// However many nodes there are and however slow they answer, never more than 16
// rounds are under way, and an agent sends no more than 120 probes a second
// on average, give or take what chance does to a minute (six deviations), once all
// are known.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watching(t, &fake{takes: 110 * ms}, cluster(1000))
		defer w.stop()
		w.at(2 * time.Minute)
		if w.most > maxInFlight {
			t.Errorf("%d rounds at a time, want at most %d", w.most, maxInFlight)
		}
		n := 0
		for _, rounds := range w.rounds {
			for _, at := range rounds {
				if at.Sub(w.start) >= time.Minute {
					n++
				}
			}
		}
		if perSecond := float64(n) * probes / 60; perSecond > 130 || perSecond < 110 {
			t.Errorf("%.1f probes a second, want about 120", perSecond)
		}
		for node, rounds := range w.rounds {
			if len(rounds) < 4 {
				t.Errorf("%d rounds of %s in two minutes, want one every 25 s", len(rounds), node)
			}
		}
	})
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watching(t, &fake{takes: 100 * ms}, cluster(2))
		defer w.stop()
		w.at(20 * time.Second)
		w.Aim(cluster(3))
		w.at(20 * time.Second)
		if got := len(w.of("node-0002")); got != 1 {
			t.Errorf("%d rounds of a new node, want 1 at once", got)
		}
		w.at(21 * time.Second)
		if m := w.Measurements()["node-0000"]; m.Rounds < 4 {
			t.Errorf("a node that stayed began anew: %+v", m)
		}
		moved := cluster(3)
		moved.Nodes[1].Address = netip.MustParseAddr("10.3.0.1")
		w.Aim(moved)
		if m := w.Measurements()["node-0000"]; m.Rounds != 0 || m.Latency != nil {
			t.Errorf("a node with another address kept its latency: %+v", m)
		}
		w.Aim(cluster(0))
		w.at(22 * time.Second)
		n := len(w.of("node-0000"))
		w.at(time.Minute)
		if got := len(w.of("node-0000")); got != n {
			t.Errorf("%d rounds of a node after it went", got-n)
		}
		if got := w.Measurements(); len(got) != 1 {
			t.Errorf("measurements of %d nodes, want the own one alone", len(got))
		}
	})
}

// A round that is under way when its node goes tells nothing about the node that
// comes with the same name.
func TestLateRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watching(t, &fake{takes: time.Second}, cluster(1))
		defer w.stop()
		w.at(500 * ms)
		moved := cluster(1)
		moved.Nodes[1].Address = netip.MustParseAddr("10.3.0.1")
		w.Aim(moved)
		w.at(1200 * ms)
		if m := w.Measurements()["node-0000"]; m.Rounds != 0 {
			t.Errorf("the round of the address before counts: %+v", m)
		}
		w.at(2 * time.Second)
		if m := w.Measurements()["node-0000"]; m.Rounds != 1 {
			t.Errorf("no round of the new address: %+v", m)
		}
	})
}

func TestNodeFails(t *testing.T) {
	down := func(_ string, n int) (Round, error) {
		if n > 3 && n <= 8 {
			return Round{}, errors.New("no answer")
		}
		return Round{Value: 2 * ms, Source: "peer"}, nil
	}
	synctest.Test(t, func(t *testing.T) {
		w := watching(t, &fake{takes: 100 * ms, answers: down}, cluster(0))
		defer w.stop()
		w.at(200 * ms)
		if got := w.changes.Load(); got != 1 {
			t.Errorf("%d changes after the first round, want 1", got)
		}
		for d := time.Second; len(w.of("own")) < 6; d += 500 * ms {
			w.at(d)
		}
		w.at(time.Since(w.start) + 200*ms)
		m := w.Measurements()["own"]
		if m.Unreachable.IsZero() || m.Latency != nil || m.Failed != 3 || m.Err == nil {
			t.Errorf("after three failed rounds: %+v", m)
		}
		if got := w.changes.Load(); got != 2 || !strings.Contains(w.log.String(), "node does not answer") {
			t.Errorf("%d changes, log: %s", got, w.log.String())
		}
		w.at(time.Minute)
		m = w.Measurements()["own"]
		if !m.Unreachable.IsZero() || m.Latency == nil || m.Err != nil {
			t.Errorf("after it came back: %+v", m)
		}
		if got := w.changes.Load(); got != 3 || strings.Count(w.log.String(), "\n") != 2 {
			t.Errorf("%d changes, log: %s", got, w.log.String())
		}
	})
}

// A node that may be gone is asked again soon, and so is one that may be back: what
// the rounds 4 to 8 say is known two seconds after the first of them. In between, a
// node that is known to be gone is asked no more often than others. No such round shifts
// the turns of the node.
func TestDoubt(t *testing.T) {
	down := func(_ string, n int) (Round, error) {
		if n > 3 && n <= 8 {
			return Round{}, errors.New("no answer")
		}
		return Round{Value: 2 * ms, Source: "peer"}, nil
	}
	synctest.Test(t, func(t *testing.T) {
		w := watching(t, &fake{takes: 100 * ms, answers: down}, cluster(0))
		defer w.stop()
		w.at(time.Minute)
		rounds := w.of("own")
		turn := rounds[1] // any time within the interval behind the first one
		for i, soon := range []bool{false, false, true, true, false, false, false, true, false} {
			before, at := rounds[i+1], rounds[i+2]
			if apart := at.Sub(before); soon && (apart < 1000*ms || apart > 1200*ms) {
				t.Errorf("round %d is %v after the one before, want a second", i+3, apart)
			}
			if soon {
				continue
			}
			if apart := at.Sub(turn); apart < 4500*ms || apart > 5500*ms {
				t.Errorf("round %d is %v after the last turn, want 4.5s to 5.5s", i+3, apart)
			}
			turn = at
		}
	})
}

// That there is nothing to probe is not a node's failure.
func TestNothingToProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nothing := func(string, int) (Round, error) { return Round{}, ErrNothingToProbe }
		w := watching(t, &fake{answers: nothing}, cluster(0))
		defer w.stop()
		w.at(time.Minute)
		if m := w.Measurements()["own"]; !m.Unreachable.IsZero() || m.Failed != 0 || m.Latency != nil {
			t.Errorf("measured %+v, want nothing known", m)
		}
	})
}

// The latency begins anew when it is measured in another way, and so does nothing
// else.
func TestSourceChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := func(_ string, n int) (Round, error) {
			if n > 3 {
				return Round{Value: 50 * ms, Source: "tcp"}, nil
			}
			return Round{Value: 1 * ms, Source: "peer"}, nil
		}
		w := watching(t, &fake{answers: other}, cluster(0))
		defer w.stop()
		for d := time.Second; len(w.of("own")) < 4; d += 500 * ms {
			w.at(d)
		}
		if l := w.Measurements()["own"].Latency; l == nil || l.Seconds != 0.05 || l.Source != "tcp" {
			t.Errorf("latency = %+v, want 50 ms by tcp at once", l)
		}
	})
}

// What a node tells about its CPU has the time of its sample, which stays the same
// while the node repeats it, and is forgotten after 15 s.
func TestUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sampled := time.Now()
		tells := func(_ string, n int) (Round, error) {
			r := Round{Value: ms, Source: "peer"}
			if n <= 3 {
				shift := time.Duration(n) * 20 * time.Microsecond
				r.CPU, r.Cores = &state.CPU{Ratio: 0, Measured: sampled.Add(shift), Source: "peer"}, 4
			}
			return r, nil
		}
		w := watching(t, &fake{answers: tells}, cluster(0))
		defer w.stop()
		w.at(time.Second)
		first := w.Measurements()["own"]
		if first.CPU == nil || first.CPU.Ratio != 0 || first.Cores != 4 {
			t.Fatalf("measured %+v, want an idle node of 4 cores", first)
		}
		w.at(14 * time.Second)
		if later := w.Measurements()["own"]; later.CPU == nil || !later.CPU.Measured.Equal(first.CPU.Measured) {
			t.Errorf("the same sample is %+v, then %+v", first.CPU, later.CPU)
		}
		w.at(16 * time.Second)
		if m := w.Measurements()["own"]; m.CPU != nil || m.Cores != 4 {
			t.Errorf("after 16 s: %+v, want no CPU and the cores", m)
		}
	})
}

// TestTogether checks that nodes which are due about the same time are probed at the same
// time, though not too many, and each still as often as it should be.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes, minutes = 8, 20
		f := &fake{}
		w := watching(t, f, cluster(nodes))
		defer w.stop()
		w.at(minutes * time.Minute)
		at := map[time.Time]int{}
		for i := range nodes {
			rounds := f.of(fmt.Sprintf("node-%04d", i))
			for j, r := range rounds[2:] {
				if at[r]++; at[r] > fewAtOnce {
					t.Fatalf("%d rounds at once", at[r])
				}
				if gap := r.Sub(rounds[j+1]); gap < 4400*ms || gap > 5600*ms {
					t.Fatalf("a round %v behind the one before", gap)
				}
			}
			if n := len(rounds); n < minutes*12*19/20 || n > minutes*12*21/20 {
				t.Errorf("%d rounds of a node in %d minutes", n, minutes)
			}
		}
		meetings := (nodes + 1 + fewAtOnce - 1) / fewAtOnce // the own node is probed, too
		if most := meetings * minutes * 12 * 21 / 20; len(at) > most {
			t.Errorf("probed at %d times, want at most %d", len(at), most)
		}
	})
}

// TestTogetherAgain: a node that was asked once more, since it did not answer, and one that
// came later are due together with the others all the same.
func TestTogetherAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answers: func(node string, n int) (Round, error) {
			if node == "node-0001" && n == 5 {
				return Round{}, errors.New("lost")
			}
			return Round{Value: 2 * ms, Source: "peer"}, nil
		}}
		w := watching(t, f, cluster(2)) // and the own node
		defer w.stop()
		w.at(30 * time.Second)
		w.Aim(cluster(3))
		w.at(2 * time.Minute)
		all, doubted := f.of("node-0000"), f.of("node-0001")
		if len(doubted) <= len(all) {
			t.Errorf("%d rounds of a node in doubt, %d of another one, want fewer", len(doubted), len(all))
		}
		last := all[len(all)-10:]
		for _, node := range []string{"own", "node-0001", "node-0002"} {
			rounds := f.of(node)
			if diff := cmp.Diff(last, rounds[len(rounds)-10:]); diff != "" {
				t.Errorf("rounds of node-0000 and %s: %s", node, diff)
			}
		}
	})
}
