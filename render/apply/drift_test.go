package apply_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
)

// TestDriftIsRepaired has somebody else change our rules in every way, and waits
// for the proof that they are as they were: by a transaction that touches what
// was changed, and leaves all else as it is.
func TestDriftIsRepaired(t *testing.T) {
	all := []string{"everything"}
	tests := []struct {
		name, change, said string
		anew               []string // the blocks that have other handles afterwards
	}{
		{"table deleted", "delete table ip weft", "table ip weft deleted", all},
		{"ruleset flushed", "flush ruleset", "table ip weft deleted", all},
		{"chain flushed", "flush chain ip weft services", "of chain ip weft services deleted", []string{"chain services"}},
		{"rule added", "insert rule ip weft services tcp dport 30000 dnat to 198.51.100.66:6", "of chain ip weft services added", []string{"chain services"}},
		{"harmless rule added", "add rule ip weft services counter", "of chain ip weft services added", []string{"chain services"}},
		{"rule for some sources", "insert rule ip weft nodeports-30000-30007 ip saddr 192.0.2.9 accept", "added", []string{"chain nodeports-30000-30007"}},
		{"chain of a ServicePort flushed", "flush chain ip weft nodeports-30000-30007", "deleted", []string{"chain nodeports-30000-30007"}},
		{
			"chain of a ServicePort deleted", "delete element ip weft service-nodeports { tcp . 30000 }; flush chain ip weft nodeports-30000-30007; delete chain ip weft nodeports-30000-30007",
			"service-nodeports (ns/web-0) deleted",
			[]string{"chain nodeports-30000-30007"},
		},
		{"element deleted", "delete element ip weft service-nodeports { tcp . 30000 }", "of set ip weft service-nodeports (ns/web-0) deleted", nil},
		{"element changed", "delete element ip weft service-nodeports { tcp . 30000 }; add element ip weft service-nodeports { tcp . 30000 : drop }", "service-nodeports added", nil},
		{"element added", "add element ip weft service-nodeports { udp . 31000 : drop }", "service-nodeports added", nil},
		{"address deleted", "delete element ip weft nodeport-ips { 192.0.2.1 }", "element 0xc0000201 of set ip weft nodeport-ips deleted", nil},
		{"address added", "add element ip weft nodeport-ips { 192.0.2.66 }", "element 0xc0000242 of set ip weft nodeport-ips added", nil},
		{"masquerade gone", "flush set ip weft tcp-nodeports", "tcp-nodeports deleted", nil},
		{"chain added", "add chain ip weft stray; add rule ip weft stray accept", "chain ip weft stray added", nil},
		{"base chain added", "add chain ip weft stray { type filter hook input priority 0 ; policy accept ; }", "chain ip weft stray added", nil},
		{"set added", "add set ip weft stray { type inet_service ; }; add element ip weft stray { 1 }", "set ip weft stray added", nil},
		{"map added", "add map ip weft stray { type inet_service : mark ; }", "set ip weft stray added", nil},
		{"counter added", "add counter ip weft stray", "object ip weft stray added", all},
		{"policy changed", "chain ip weft prerouting { policy drop ; }", "chain ip weft prerouting added", all},
		{"table asleep", "table ip weft { flags dormant ; }", "table ip weft added", all},
		{"table of another family", "add table ip6 weft; add chain ip6 weft c", "table ip6 weft added", all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := startSeveral(t, nil, 5, 6)
			r.next()
			want := sortedLines(r.kernel())
			before, logged := r.rules(), len(r.log.String())
			if err := r.ns.Load(strings.ReplaceAll(tt.change, "; ", "\n") + "\n"); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			r.next()
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("the repair took %s", took)
			}
			if got := sortedLines(r.kernel()); got != want {
				t.Errorf("after the repair:\n%s", got)
			}
			if anew := changed(before, r.rules()); !slices.Equal(tt.anew, all) && !slices.Equal(anew, tt.anew) {
				t.Errorf("%v were made anew, want %v", anew, tt.anew)
			}
			said := r.log.String()[logged:]
			if !strings.Contains(said, tt.said) || !strings.Contains(said, " by nft (process ") {
				t.Errorf("nobody said %q and who did it:\n%s", tt.said, said)
			}
		})
	}
}

// sortedLines are those of a listing, which has new chains at its end.
func sortedLines(listing string) string {
	lines := strings.Split(withoutTimes(listing), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestNothingReallyChanged has somebody change something and put it back.
func TestNothingReallyChanged(t *testing.T) {
	r := start(t, nil, nil)
	r.next()
	before := r.rules()
	const element = "element ip weft tcp-nodeports { 30000 }\n"
	if err := r.ns.Load("delete " + element + "add " + element); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	r.stop()
	if got := changed(before, r.rules()); len(got) > 0 || len(r.proven) > 0 || r.logged("level=WARN") > 0 {
		t.Errorf("%v made anew, %d repairs", got, len(r.proven))
	}
}

// TestProofs checks that everything is read for a proof at its interval where somebody
// touched the tables since the one before, weft too, and now and then without, but not
// each time while only the heartbeat and other tables are at work.
func TestProofs(t *testing.T) {
	var debug buffer
	r := start(t, render.Vars{"heartbeat": "3s"}, func(l *apply.Loop) {
		l.ProvesEvery(200 * time.Millisecond)
		l.Log = slog.New(slog.NewTextHandler(&debug, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r.next()
	proofs := func() (whole, easy int) {
		return strings.Count(debug.String(), `after="whole proof at its interval"`), strings.Count(debug.String(), `after="proof at its interval"`)
	}
	time.Sleep(1300 * time.Millisecond)
	whole, easy := proofs()
	if whole != 1 || easy < 2 {
		t.Errorf("%d whole proofs and %d others after the start, want one and some", whole, easy)
	}
	if err := r.ns.Load("add table ip stranger\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if now, _ := proofs(); now != whole {
		t.Error("everything was read for somebody else's table")
	}
	const element = "element ip weft tcp-nodeports { 30000 }\n"
	if err := r.ns.Load("delete " + element + "add " + element); err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond)
	if now, _ := proofs(); now != whole+1 {
		t.Errorf("%d whole proofs after somebody touched the table, want one", now-whole)
	}
	time.Sleep(3 * time.Second)
	if now, _ := proofs(); now < whole+2 {
		t.Error("nothing was read whole any more")
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

// TestWhatCallsForAProof: an element whose time is over changed what the rules do, though
// nobody sent a transaction. A heartbeat did not.
func TestWhatCallsForAProof(t *testing.T) {
	for want, events := range map[bool][]nft.Event{
		true:  {{}, {Own: true}, {Expired: true}, {Lost: true}},
		false: {{Beat: true}, {Beat: true, Own: true}},
	} {
		for _, e := range events {
			if got := apply.CallsForProof(e); got != want {
				t.Errorf("%+v calls for a proof: %t, want %t", e, got, want)
			}
		}
	}
}
