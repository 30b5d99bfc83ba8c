package apply_test

import (
	"strings"
	"testing"
	"time"
)

// TestDriftIsRepaired has somebody else change our rules in every way, and
// waits for the proof that they are as they were.
func TestDriftIsRepaired(t *testing.T) {
	tests := []struct{ name, change, gone string }{
		{"table deleted", "delete table ip weft", ""},
		{"ruleset flushed", "flush ruleset", ""},
		{"chain flushed", "flush chain ip weft services", ""},
		{"rule added", "insert rule ip weft services tcp dport 30000 dnat to 198.51.100.66:6", "198.51.100.66"},
		{"element deleted", "delete element ip weft service-nodeports { tcp . 30000 }", ""},
		{"address deleted", "delete element ip weft nodeport-ips { 192.0.2.1 }", ""},
		{"address added", "add element ip weft nodeport-ips { 192.0.2.66 }", "192.0.2.66"},
		{"masquerade gone", "flush set ip weft tcp-nodeports", ""},
		{"chain added", "add chain ip weft stray", "stray"},
	}
	r := start(t, nil, nil)
	r.next()
	want := withoutTimes(r.kernel())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := r.ns.Run("nft", tt.change); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			r.next()
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("the repair took %s", took)
			}
			if got := withoutTimes(r.kernel()); got != want || tt.gone != "" && strings.Contains(got, tt.gone) {
				t.Errorf("after the repair:\n%s", got)
			}
			time.Sleep(2 * time.Second) // no fight: repairs that far apart are welcome at once
		})
	}
	if n := r.logged("deleted by nft (process"); n == 0 {
		t.Errorf("nobody said who did it:\n%s", r.log)
	}
}

// TestFightBacksOff has another writer who never gives up.
func TestFightBacksOff(t *testing.T) {
	r := start(t, nil, nil)
	r.next()
	for range 40 {
		if _, err := r.ns.Run("nft", "add chain ip weft stray"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if r.logged("somebody keeps changing our rules") == 0 {
		t.Error("nobody said that there is a fight")
	}
	if n := len(r.proven); n > 12 {
		t.Errorf("%d repairs in two seconds: it does not back off", n)
	}
}

// TestOthersAreLeftAlone changes tables that are not ours.
func TestOthersAreLeftAlone(t *testing.T) {
	r := start(t, nil, nil)
	r.next()
	for range 20 {
		if _, err := r.ns.Run("nft", "add table ip other; add chain ip other c; delete table ip other"); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	r.stop()
	if len(r.proven) != 0 || r.logged("level=WARN") != 0 {
		t.Errorf("changes of other tables were taken for ours:\n%s", r.log)
	}
}
