package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// figures are the summaries of a scenario by policy, of two seeds.
func figures(t *testing.T, name string, seed uint64, by ...string) map[string]summary {
	t.Helper()
	return figuresOf(t, name, options{seed: seed, seeds: 2}, by...)
}

func figuresOf(t *testing.T, name string, o options, by ...string) map[string]summary {
	t.Helper()
	chosen, err := choose(scenarios(), func(s scenario) string { return s.name }, name)
	if err != nil {
		t.Fatal(err)
	}
	policies, err := choose(policies(), func(p policy) string { return p.name }, strings.Join(by, ","))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]summary{}
	results := simulate(chosen, policies, o)
	for j, p := range policies {
		var all []summary
		for _, r := range results[0][j] {
			all = append(all, r.summary())
		}
		found[p.name] = average(all)
	}
	return found
}

// What the simulation is there to show. The seed is not one that constants were
// chosen with; the bounds leave room for what another seed would change.
func TestShape(t *testing.T) {
	const seed = 7
	both := []string{"prom+guard", "peer+guard"}
	t.Run("unequal nodes near saturation", func(t *testing.T) {
		a := figures(t, "A", seed, "equal", "oracle", "proto1", "prom+guard", "peer+guard")
		h := figures(t, "H", seed, both...)
		for _, p := range both {
			if a[p].p99 > 2*a["oracle"].p99 || a[p].mean > 1.25*a["oracle"].mean || a[p].writes > 6 || a[p].failed > 0 {
				t.Errorf("%s: %+v, the oracle %+v", p, a[p], a["oracle"])
			}
			if h[p].p99 > 1.5*a[p].p99 {
				t.Errorf("%s: in step %+v, out of step %+v", p, h[p], a[p])
			}
		}
		if a["equal"].failed < 5 || a["proto1"].mean < 2*a["prom+guard"].mean {
			t.Errorf("the scenario is none: %+v", a)
		}
	})
	t.Run("one pod on each of ten unequal nodes", func(t *testing.T) {
		b := figures(t, "B1", seed, "equal", "oracle", "prom+guard", "peer+guard")
		for _, p := range both {
			if b[p].mean > 1.15*b["oracle"].mean || b["equal"].mean < 10*b[p].mean {
				t.Errorf("%s: %+v of %+v", p, b[p], b)
			}
		}
	})
	t.Run("nothing to gain", func(t *testing.T) {
		b := figures(t, "B2", seed, "equal", "prom+guard", "peer+guard")
		f := figures(t, "F", seed, "equal", "prom+guard", "peer+guard", "prom+polled", "peer+polled")
		for p := range f {
			if f[p].writes > 1 || f[p].mean > 1.05*f["equal"].mean || b[p].mean > 1.05*b["equal"].mean {
				t.Errorf("%s: idle %+v, as many pods as cores %+v", p, f[p], b[p])
			}
		}
	})
	t.Run("loss of capacity", func(t *testing.T) {
		c := figures(t, "C", seed, "equal", "prom", "prom+guard", "peer+guard")
		for _, p := range both {
			if c[p].mean > 1.35*c["equal"].mean || c[p].mean > c["prom"].mean/2 {
				t.Errorf("%s: %+v of %+v", p, c[p], c)
			}
		}
	})
	t.Run("far nodes", func(t *testing.T) {
		e := figures(t, "E2", seed, "equal", "latency", "prom+guard", "peer+guard", "local")
		if near := figures(t, "E1", seed, "peer+guard", "local"); near["local"].mean > near["peer+guard"].mean || e["local"].mean > e["equal"].mean {
			t.Errorf("near first: %+v, and where they are hot %+v", near, e)
		}
		for _, p := range both {
			if e[p].mean > 0.95*e["equal"].mean || e["latency"].mean < 5*e[p].mean {
				t.Errorf("%s: %+v of %+v", p, e[p], e)
			}
		}
	})
	t.Run("faults", func(t *testing.T) {
		for _, scenario := range []string{"refused", "swallowed"} {
			r := figures(t, scenario, seed, "equal", "prom+guard", "peer+guard")
			for _, p := range both {
				if r[p].failed > r["equal"].failed/16 {
					t.Errorf("%s, %s: %+v of %+v", scenario, p, r[p], r)
				}
			}
		}
		// An error that comes at once looks like any answer to who does not read it.
		if e := figures(t, "errors", seed, "equal", "http"); e["http"].failed > e["equal"].failed/10 {
			t.Errorf("errors: %+v", e)
		}
		if n := figures(t, "noisy", seed, "equal", "peer+guard"); n["peer+guard"].mean > n["equal"].mean/2 {
			t.Errorf("noisy: %+v", n)
		}
	})
	t.Run("connections kept open", func(t *testing.T) {
		k, f := figures(t, "kept", seed, "equal", "peer+guard"), figures(t, "kept-F", seed, "peer+guard")
		if k["peer+guard"].mean > k["equal"].mean/3 || f["peer+guard"].writes > 1 {
			t.Errorf("%+v, at rest %+v", k, f)
		}
		// Six seeds differ from six others by a tenth here, more than the policies do; 288
		// say 0.97 times the mean of equal shares, and 1.06 times its 99th percentile.
		c := figuresOf(t, "kept-C", options{seed: seed, seeds: 36}, "equal", "peer", "prom+guard", "peer+guard")
		equal, peer := c["equal"], c["peer+guard"]
		if peer.mean > 1.05*equal.mean || peer.p99 > 1.2*equal.p99 || peer.mean > 0.85*c["peer"].mean || c["prom+guard"].mean > 1.2*equal.mean {
			t.Errorf("after the loss %+v", c)
		}
	})
	t.Run("staircase", func(t *testing.T) {
		s := figures(t, "staircase", seed, "oracle", "prom+guard", "peer+guard")
		for _, p := range both {
			if s[p].mean > 1.35*s["oracle"].mean || s[p].late > 20 {
				t.Errorf("%s: %+v of %+v", p, s[p], s)
			}
		}
	})
}

// The same seed is the same run, and the same requests for every policy.
func TestSeed(t *testing.T) {
	first := figures(t, "A", 3, "peer+guard", "oracle")
	if again := figures(t, "A", 3, "peer+guard", "oracle"); again["peer+guard"] != first["peer+guard"] {
		t.Errorf("got %+v, then %+v", first, again)
	}
	if other := figures(t, "A", 4, "peer+guard"); other["peer+guard"] == first["peer+guard"] {
		t.Error("another seed is the same run")
	}
	s := scenarios()[0]
	requests := func(p string) int {
		i := slices.IndexFunc(policies(), func(q policy) bool { return q.name == p })
		return newWorld(&s, policies()[i], 1).run().took.n
	}
	if a, b := requests("oracle"), requests("prom"); a != b {
		t.Errorf("%d and %d requests", a, b)
	}
}

func TestRun(t *testing.T) {
	folder := t.TempDir()
	var out bytes.Buffer
	o := options{scenarios: "E1,F", policies: "equal,peer+guard", seeds: 1, seed: 1, out: folder, format: "svg"}
	if err := run(o, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"E1: three places", "F: four", "peer+guard"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	for _, name := range []string{"E1.svg", "E1-equal.svg", "F-peer-guard.svg"} {
		if text, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Contains(text, []byte("<svg")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := run(options{scenarios: "Z"}, &out); err == nil {
		t.Error("an unknown scenario was taken")
	}
}

// A queue serves as the theory says: with one core and exponential times, the
// mean stay is service/(1-load).
func TestQueue(t *testing.T) {
	s := scenario{
		nodes: ofCores(1), entry: even(1), load: 0.6, service: 0.1, warmup: 100, end: 4000,
		rtt: func(int, int) float64 { return 0 },
	}
	r := newWorld(&s, policies()[0], 1).run()
	if want := 0.1 / (1 - 0.6); r.took.mean() < 0.9*want || r.took.mean() > 1.1*want {
		t.Errorf("a request takes %v s, want %v", r.took.mean(), want)
	}
}
