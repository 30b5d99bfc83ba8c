package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
)

// several is a state with a ServicePort for each first share, in tenths.
func several(tenths ...int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: weft/v1\nkind: State\nnode: n1\ngeneration: 1\naddresses: [192.0.2.1]\nservicePorts: %d\nnodes: []\n", len(tenths))
	for i, n := range tenths {
		fmt.Fprintf(&b, `---
kind: ServicePort
namespace: ns
name: web-%d
port: ""
protocol: tcp
nodePort: %d
endpoints:
- {address: 198.51.100.1, port: 80, node: n1, share: 0.%d}
- {address: 198.51.100.2, port: 80, node: n2, share: 0.%d}
`, i, 30000+8*i, n, 10-n)
	}
	return b.String()
}

// rules are the rules of each chain with their handles, and the handles of the
// chains and sets themselves.
func (r *rig) rules() map[string]string {
	r.t.Helper()
	out, err := r.ns.Run("nft", "-a", "list", "ruleset")
	if err != nil {
		r.t.Fatal(err)
	}
	blocks := map[string]string{}
	name := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if m := blockPattern.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		if !strings.Contains(line, "expires") && line != "" && line != "}" {
			blocks[name] += line + "\n"
		}
	}
	return blocks
}

var blockPattern = regexp.MustCompile(`^((?:table|chain|set|map) \S+(?: \S+)?) \{`)

// changed names the blocks that are not what they were.
func changed(before, after map[string]string) []string {
	var names []string
	for name, text := range before {
		if after[name] != text {
			names = append(names, name)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// startSeveral is start for a state with a ServicePort for each first share.
func startSeveral(t *testing.T, script func(dir string) string, tenths ...int) *rig {
	t.Helper()
	return start(t, nil, func(l *apply.Loop) {
		if err := os.WriteFile(l.StateFile, []byte(several(tenths...)), 0o644); err != nil {
			t.Fatal(err)
		}
		if script != nil {
			fakeNft(t, l, script(filepath.Dir(l.StateFile)))
		}
	})
}

// TestOnlyTheDifferenceIsLoaded: a change of one ServicePort leaves the rules of
// all others as they are, down to their handles.
func TestOnlyTheDifferenceIsLoaded(t *testing.T) {
	r := startSeveral(t, nil, 5, 5)
	r.next()
	tests := []struct {
		name, text string
		want       []string
	}{
		{"one share", several(5, 7), []string{"chain nodeports-30008-30015"}},
		{"one more", several(5, 7, 3), []string{"chain nodeports-30016-30023", "map service-nodeports", "set tcp-nodeports"}},
		{"one less", several(5, 7), []string{"chain nodeports-30016-30023", "map service-nodeports", "set tcp-nodeports"}},
		{"all shares", several(2, 8), []string{"chain nodeports-30000-30007", "chain nodeports-30008-30015"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := r.rules()
			r.write("state.yaml", tt.text)
			r.changes <- apply.StateChanged
			r.next()
			if diff := cmp.Diff(tt.want, changed(before, r.rules())); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
	if n := r.logged("loaded=difference"); n != len(tests) {
		t.Errorf("%d transactions were differences, want %d:\n%s", n, len(tests), r.log)
	}
}

// TestNothingChanged: a state that says the same loads nothing and proves nothing
// anew.
func TestNothingChanged(t *testing.T) {
	r := start(t, nil, nil)
	r.next()
	before := r.rules()
	r.write("state.yaml", strings.Replace(stateText("0.5", "0.5"), "generation: 1", "generation: 2", 1))
	r.changes <- apply.StateChanged
	r.changes <- apply.StateChanged
	if diff := cmp.Diff(before, r.rules()); diff != "" {
		t.Errorf("something was loaded:\n%s", diff)
	}
	r.stop()
}

// TestHeartbeatUnderChanges: changes that come without a pause do not put the
// heartbeat off, though they do not load the addresses again.
func TestHeartbeatUnderChanges(t *testing.T) {
	r := start(t, render.Vars{"heartbeat": "2s"}, nil)
	r.next()
	for i := 0; i < 40; i++ {
		r.write("state.yaml", stateText("0."+fmt.Sprint(1+i%8), "0."+fmt.Sprint(9-i%8)))
		r.changes <- apply.StateChanged
		time.Sleep(100 * time.Millisecond)
	}
	r.kernelHolds("192.0.2.1 timeout 2s")
	r.stop()
}

// fakeNft puts a script in the place of nft.
func fakeNft(t *testing.T, l *apply.Loop, script string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(l.StateFile), "nft")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.Runner = nft.Runner{Path: path}
}

// TestChangedBetweenPlanAndApply has somebody change the tables when the
// transaction is made already and not loaded yet: what the transaction names, what
// it does not, and so that it cannot be loaded.
func TestChangedBetweenPlanAndApply(t *testing.T) {
	tests := []struct{ name, change string }{
		{"a chain that is refilled", "insert rule ip weft nodeports-30000-30007 dnat to 198.51.100.66"},
		{"a chain that is not", "insert rule ip weft services counter"},
		{"a chain that is not, harmfully", "insert rule ip weft services return"},
		{"a chain that is refilled is gone", "delete element ip weft service-nodeports { tcp . 30000 }; flush chain ip weft nodeports-30000-30007; delete chain ip weft nodeports-30000-30007"},
		{"an element", "delete element ip weft service-nodeports { tcp . 30008 }"},
		{"an element elsewhere", "delete element ip weft service-nodeports { tcp . 30008 }; add element ip weft service-nodeports { tcp . 30008 : drop }"},
		{"another's chain", "add chain ip weft stray"},
		{"another's element", "add element ip weft service-nodeports { tcp . 31000 : drop }"},
		{"an object", "add counter ip weft stray"},
		{"another's set", "add set ip weft stray { type mark; }"},
		{"the policy", "chain ip weft prerouting { policy drop; }"},
		{"the table is gone", "delete table ip weft"},
		{"everything is gone", "flush ruleset"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := startSeveral(t, func(dir string) string {
				return `if [ -f ` + dir + `/change ]; then /usr/sbin/nft -f ` + dir + `/change && mv ` + dir + `/change ` + dir + `/changed; fi
exec /usr/sbin/nft "$@"`
			}, 5, 5)
			r.next()
			r.write("state.yaml", several(7, 5))
			r.write("change", strings.ReplaceAll(tt.change, "; ", "\n")+"\n")
			r.changes <- apply.StateChanged
			r.next()
			r.changes <- 0 // whatever followed is over
			if _, err := os.Stat(filepath.Join(r.dir, "changed")); err != nil {
				t.Fatal("nobody changed anything: the test is none")
			}
			got := r.kernel()
			if _, err := r.ns.Run("nft", "flush", "ruleset"); err != nil {
				t.Fatal(err)
			}
			r.next()
			if diff := cmp.Diff(sortedLines(r.kernel()), sortedLines(got)); diff != "" {
				t.Errorf("the kernel does not hold what is loaded without anybody's changes (-want +got):\n%s", diff)
			}
			if r.logged("rules not loaded") > 0 {
				t.Errorf("the templates were blamed:\n%s", r.log)
			}
			r.stop()
		})
	}
}

// TestRefusedDifference: where nft does not take the difference, everything is
// replaced.
func TestRefusedDifference(t *testing.T) {
	r := startSeveral(t, func(dir string) string {
		return `text=$(cat); case $text in *"delete table"*) ;; *"flush chain"*) echo "no" >&2; exit 1;; esac
echo "$text" >` + dir + `/text; exec /usr/sbin/nft -f ` + dir + `/text`
	}, 5)
	r.next()
	r.write("state.yaml", several(8))
	r.changes <- apply.StateChanged
	r.next()
	r.kernelHolds("numgen random mod 100 < 80")
	if r.logged("transaction of what differs refused") != 1 || r.logged("rules not loaded") != 0 {
		t.Errorf("log:\n%s", r.log)
	}
}
