package apply_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
)

// TestNftMisbehaves has an nft that fails in every way while a state changes: the
// kernel holds one whole ruleset at any time, the heartbeat goes on, it is said
// once, and the new state is in force as soon as nft is well again.
func TestNftMisbehaves(t *testing.T) {
	const real = `exec /usr/sbin/nft "$@"`
	tests := []struct{ name, script, said string }{
		{"missing", "", "find nft"},
		{"no program", "\x7fELF", "exec format error"},
		{"too old", `echo "/dev/stdin:2:1-7: Error: syntax error, unexpected newline" >&2; exit 1`, "syntax error, unexpected newline"},
		{"hangs", "sleep 60 & wait", "ended after"},
		{"killed before the transaction", "kill -9 $$", "signal: killed"},
		{"killed after the transaction", `/usr/sbin/nft "$@"; kill -9 $$`, "signal: killed"},
		{"hangs after the transaction", `/usr/sbin/nft "$@"; sleep 60 & wait`, "ended after"},
		{"garbage", "head -c 100000 /dev/urandom >&2; head -c 100000 /dev/urandom; exit 1", "exit status 1"},
		{"garbage, and all is well", `head -c 100000 /dev/urandom >&2; head -c 100000 /dev/urandom; ` + real, ""},
		{"says nothing and does nothing", "exit 0", "not proven"},
		{"loads half of it", `head -n 3 | /usr/sbin/nft -f - ; exit 0`, "not proven"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var path string
			over := render.Vars{"heartbeat": "2s"}
			r := start(t, over, func(l *apply.Loop) {
				fakeNft(t, l, real)
				path = l.Runner.Path
				l.Runner.Timeout = 2 * time.Second
			})
			r.next()
			replace(t, path, tt.script)
			r.write("state.yaml", stateText("0.8", "0.2"))
			r.changes <- apply.StateChanged
			if tt.said != "" {
				await(t, tt.said, func() bool { return r.logged(tt.said) > 0 })
			}
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				got := r.kernel()
				if !strings.Contains(got, "mod 100 < 50") && !strings.Contains(got, "mod 100 < 80") || !strings.Contains(got, "vmap @service-nodeports") {
					if tt.name != "loads half of it" {
						t.Fatalf("the kernel does not hold one of the rulesets:\n%s", got)
					}
				} else if !strings.Contains(got, "192.0.2.1 timeout 2s") {
					t.Fatalf("the heartbeat ended:\n%s", got)
				}
			}
			replace(t, path, "#!/bin/sh\n"+real+"\n")
			r.next()
			r.kernelHolds("numgen random mod 100 < 80")
			if n := r.logged("rules not loaded"); tt.said != "" && n == 0 || n > 8 {
				t.Errorf("that the rules are not loaded was said %d times", n)
			}
			r.stop()
		})
	}
}

// replace puts another program in the place of one; an empty one is none.
func replace(t *testing.T, path, script string) {
	t.Helper()
	if script == "" {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if script[0] != '#' && script[0] != '\x7f' {
		script = "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n" + script + "\n"
	}
	if err := os.WriteFile(path+".new", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// overflowing is a subscription that loses what it hears, and says so, while lose
// is set.
type overflowing struct {
	apply.Subscription
	lose *atomic.Bool
}

func (o overflowing) Run(ctx context.Context, changed func(nft.Event)) error {
	return o.Subscription.Run(ctx, func(e nft.Event) {
		if o.lose.Load() {
			e = nft.Event{Lost: true}
		}
		changed(e)
	})
}

// TestLostNotifications: when the kernel could not tell everything, all is proven,
// and what was changed unheard is repaired.
func TestLostNotifications(t *testing.T) {
	var lose atomic.Bool
	r := start(t, nil, func(l *apply.Loop) {
		l.ListenWith(func(table string, own *nft.Own) (apply.Subscription, error) {
			sub, err := apply.Subscribe(table, own)
			return overflowing{sub, &lose}, err
		})
	})
	r.next()
	lose.Store(true)
	if _, err := r.ns.Run("nft", "flush chain ip weft services"); err != nil {
		t.Fatal(err)
	}
	r.next()
	r.kernelHolds("vmap @service-nodeports")
	if n := r.logged("notifications lost"); n == 0 {
		t.Errorf("nobody said that notifications were lost:\n%s", r.log)
	}
	r.write("state.yaml", stateText("0.8", "0.2")) // our own are lost as well
	r.changes <- apply.StateChanged
	r.next()
	r.kernelHolds("numgen random mod 100 < 80")
	lose.Store(false)
	if _, err := r.ns.Run("nft", "flush chain ip weft services"); err != nil {
		t.Fatal(err)
	}
	r.next()
	r.kernelHolds("vmap @service-nodeports")
	r.stop()
}

// TestStateFileGone: no state file is no state without ServicePorts.
func TestStateFileGone(t *testing.T) {
	r := start(t, nil, nil)
	r.next()
	if err := os.Remove(filepath.Join(r.dir, "state.yaml")); err != nil {
		t.Fatal(err)
	}
	r.changes <- apply.StateChanged
	r.kernelHolds("numgen random mod 100 < 50")
	await(t, "the complaint", func() bool { return r.logged("state file refused") == 1 })
	r.write("state.yaml", stateText("0.7", "0.3"))
	r.changes <- apply.StateChanged
	r.next()
	r.kernelHolds("numgen random mod 100 < 70")
	r.stop()
}
