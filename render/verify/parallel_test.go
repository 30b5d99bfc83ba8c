package verify_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"weft/examples/lab/labtest"
	"weft/render/verify"
)

// TestManyProcessorsSayTheSame: a report does not depend on how many goroutines
// made it.
func TestManyProcessorsSayTheSame(t *testing.T) {
	st := cluster(600)
	text := ruleset(st, inline, verify.MasqueradeRemote)
	for _, i := range []int{3, 200, 201, 599} {
		text = strings.Replace(text, fmt.Sprintf("tcp . %d : goto svc-%d", 30000+i, i), fmt.Sprintf("tcp . %d : goto svc-%d", 30000+i, i/2), 1)
	}
	ns := labtest.Scratch(t)
	load(t, ns, text)
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	want := verify.Check(read(t, ns), st, verify.Want{Masquerade: verify.MasqueradeRemote})
	if want.Proven != 596 {
		t.Errorf("%d proven, want 596", want.Proven)
	}
	for _, n := range []int{2, 4} {
		runtime.GOMAXPROCS(n)
		got := verify.Check(read(t, ns), st, verify.Want{Masquerade: verify.MasqueradeRemote})
		if got.String() != want.String() {
			t.Errorf("with %d processors:\n%swant\n%s", n, got, want)
		}
	}
}
