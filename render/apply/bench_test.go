package apply_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/history"
	"weft/render/nft"
	"weft/render/ruleset"
	"weft/state"
)

// nodePorts is how many a cluster can have at most: 30000 to 32767.
const nodePorts = 2768

// crowd is a state of n ServicePorts with ten endpoints each.
func crowd(n int) *state.State {
	st := &state.State{Node: "node-1", Generation: 1, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	shares := []float64{0.19, 0.17, 0.15, 0.13, 0.11, 0.09, 0.07, 0.05, 0.03, 0.01}
	for i := range n {
		sp := &state.ServicePort{Namespace: "bench", Name: fmt.Sprintf("sp-%05d", i), Protocol: state.TCP, NodePort: uint16(30000 + i)}
		for k, share := range shares {
			sp.Endpoints = append(sp.Endpoints, state.Endpoint{
				Address: netip.AddrFrom4([4]byte{10, byte(42 + k), byte(i >> 8), byte(i)}), Port: 8080, Node: fmt.Sprintf("node-%d", k+2), Share: share,
			})
		}
		st.ServicePorts = append(st.ServicePorts, sp)
	}
	return st
}

// with is the state with the i-th ServicePort changed.
func with(st *state.State, i int, change func(*state.ServicePort)) *state.State {
	changed := *st
	changed.Generation++
	changed.ServicePorts = append([]*state.ServicePort(nil), st.ServicePorts...)
	sp := *st.ServicePorts[i]
	sp.Endpoints = append([]state.Endpoint(nil), sp.Endpoints...)
	change(&sp)
	changed.ServicePorts[i] = &sp
	return &changed
}

// engine is a loop at work for a benchmark.
type engine struct {
	ns      *lab.Namespace
	file    string
	encoder state.Encoder
	changes chan apply.Change
	proven  chan history.Entry
}

func newEngine(b *testing.B, set string, st *state.State) *engine {
	b.Helper()
	e := &engine{
		ns: labtest.Scratch(b), file: filepath.Join(b.TempDir(), "state.yaml"),
		changes: make(chan apply.Change), proven: make(chan history.Entry, 1),
	}
	e.write(b, st)
	log := history.Open(filepath.Join(b.TempDir(), "history"), history.Limits{})
	loop := &apply.Loop{
		StateFile: e.file, Log: slog.New(slog.DiscardHandler),
		Keep: func(entry history.Entry) {
			if err := log.Add(entry); err != nil || entry.Result != history.Proven {
				b.Error(entry.Result, entry.Message, err)
			}
			select {
			case e.proven <- entry:
			default: // nobody waits for it
			}
		},
		Templates: func() (*render.Set, render.Vars, error) {
			loaded, err := render.Load(set)
			return loaded, render.DefaultVars(), err
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.ns.Do(func() error { return loop.Run(ctx, e.changes) }) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	<-e.proven
	return e
}

func (e *engine) write(b *testing.B, st *state.State) {
	b.Helper()
	text, err := e.encoder.Encode(st)
	if err == nil {
		err = os.WriteFile(e.file, text, 0o644)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// cpu is the time that this process has spent, without its children.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPass is a whole pass, from a state file that changed to rules that are
// proven, beside the smallest transaction that does the same, written by hand. What
// it allocates tells how much of a pass is in proportion to the table.
func BenchmarkPass(b *testing.B) {
	for _, c := range []struct {
		set  string
		size int
	}{{"cascade", 100}, {"cascade", nodePorts}, {"cascade", 10000}, {"simplified", nodePorts}} {
		b.Run(fmt.Sprintf("%s/%d", c.set, c.size), func(b *testing.B) {
			st := crowd(c.size)
			other := with(st, 77, func(sp *state.ServicePort) { sp.Endpoints[3].Address = netip.MustParseAddr("10.99.0.1") })
			e := newEngine(b, c.set, st)
			states := []*state.State{other, st}
			b.Run("endpoint", func(b *testing.B) { e.pass(b, states, true) })
			b.Run("nothing", func(b *testing.B) { e.pass(b, states[1:], false) })
			b.Run("by-hand", func(b *testing.B) { byHand(b, c.set, states) })
		})
	}
}

// pass times passes alone; writing the file is the watcher's work.
func (e *engine) pass(b *testing.B, states []*state.State, loads bool) {
	var spent time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		e.write(b, states[i%len(states)])
		before := cpu(b)
		b.StartTimer()
		e.changes <- apply.StateChanged
		if loads {
			<-e.proven
		}
		e.changes <- 0 // taken when the pass is over
		b.StopTimer()
		spent += cpu(b) - before
		b.StartTimer()
	}
	b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// byHand flushes and refills one chain with a bare nft -f.
func byHand(b *testing.B, set string, states []*state.State) {
	loaded, err := render.Load(set)
	if err != nil {
		b.Fatal(err)
	}
	ns := labtest.Scratch(b)
	var files []string
	var last *ruleset.Ruleset
	for i, st := range append(states, states[0]) {
		desired, err := apply.Desire(b.Context(), loaded, st, render.DefaultVars())
		if err != nil {
			b.Fatal(err)
		}
		text := desired.Text()
		if last != nil {
			text = ruleset.Diff(last, desired.Ruleset).Text()
		}
		last = desired.Ruleset
		files = append(files, filepath.Join(b.TempDir(), fmt.Sprint(i)))
		if err := os.WriteFile(files[i], []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := ns.Run("nft", "-f", files[0]); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := ns.Run("nft", "-f", files[1+i%2]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCold is a start from a state file to proven rules, without that of the
// process, beside a bare nft -f of the same text.
func BenchmarkCold(b *testing.B) {
	st := crowd(nodePorts)
	text, err := state.Encode(st)
	if err != nil {
		b.Fatal(err)
	}
	for _, set := range []string{"cascade", "simplified"} {
		ns := labtest.Scratch(b)
		b.Run(set+"/weft", func(b *testing.B) {
			var spent time.Duration
			for b.Loop() {
				b.StopTimer()
				if err := ns.Load("flush ruleset"); err != nil {
					b.Fatal(err)
				}
				before := cpu(b)
				b.StartTimer()
				if err := ns.Do(func() error { return cold(b.Context(), set, text) }); err != nil {
					b.Fatal(err)
				}
				spent += cpu(b) - before
			}
			b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
		b.Run(set+"/nft", func(b *testing.B) {
			desired := desiredOf(b, set, st)
			for b.Loop() {
				b.StopTimer()
				if err := ns.Load("flush ruleset"); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := ns.Load(desired.Text()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func cold(ctx context.Context, set string, text []byte) error {
	st, err := state.Decode("state.yaml", text)
	if err != nil {
		return err
	}
	loaded, err := render.Load(set)
	if err != nil {
		return err
	}
	desired, err := apply.Desire(ctx, loaded, st, render.DefaultVars())
	if err != nil {
		return err
	}
	report, err := desired.LoadAndReport(ctx, nft.Runner{})
	if err == nil && !report.OK() {
		err = &apply.Unproven{Report: report}
	}
	return err
}
