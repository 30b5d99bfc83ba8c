package nfnl_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/verify/nfnl"
)

// load loads the text of a ruleset.
func load(t *testing.T, ns *lab.Namespace, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ruleset.nft")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.Run("nft", "-f", file); err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, ns *lab.Namespace) *nfnl.Conn {
	t.Helper()
	c, err := nfnl.Dial(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestExpressionsLikeNft compares every expression of the constructs in
// testdata with what nft's own decoder says about the same kernel objects.
func TestExpressionsLikeNft(t *testing.T) {
	files, err := filepath.Glob("testdata/*.nft")
	if err != nil || len(files) == 0 {
		t.Fatal("no rulesets", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			ns := labtest.Scratch(t)
			if _, err := ns.Run("nft", "-f", file); err != nil {
				t.Fatal(err)
			}
			out, err := ns.Run("nft", "--debug=netlink", "list", "ruleset")
			if err != nil {
				t.Fatal(err)
			}
			f := nfnl.IPv4
			for _, x := range []nfnl.Family{nfnl.IPv6, nfnl.INet} {
				if strings.Contains(string(out), "table "+x.String()+" t ") {
					f = x
				}
			}
			if diff := cmp.Diff(expressions(string(out)), decoded(t, dial(t, ns), f)); diff != "" {
				t.Errorf("expressions (-nft +ours):\n%s", diff)
			}
		})
	}
}

// volatile is what a second listing may say differently, or that libnftnl prints
// although it is no attribute (no flags).
var volatile = regexp.MustCompile(`pkts \d+ bytes \d+|consumed \d+| 0x0$`)

// expressions finds the lines in brackets in nft's debug output.
func expressions(debug string) []string {
	var list []string
	for line := range strings.Lines(debug) {
		line = strings.TrimSpace(line)
		if s, ok := strings.CutPrefix(line, "[ "); ok && strings.HasSuffix(s, " ]") {
			s = strings.TrimSpace(strings.TrimSuffix(s, " ]"))
			list = append(list, volatile.ReplaceAllString(strings.Join(strings.Fields(s), " "), ""))
		}
	}
	return list
}

func decoded(t *testing.T, c *nfnl.Conn, f nfnl.Family) []string {
	t.Helper()
	rules, err := c.Rules(context.Background(), f, "t", "")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range rules {
		for _, e := range r.Exprs {
			if u, ok := e.(*nfnl.Unknown); ok {
				t.Errorf("rule %d of %s: %v", r.Handle, r.Chain, u)
			}
			list = append(list, volatile.ReplaceAllString(strings.Join(strings.Fields(e.String()), " "), ""))
		}
	}
	return list
}

func TestUnknownExpressionsAreNamed(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, `table ip t {
	chain c {
		type filter hook prerouting priority 0
		rt classid 5 accept
		tcp option maxseg size 500 accept
		socket transparent 1 accept
	}
}`)
	rules, err := dial(t, ns).Rules(context.Background(), nfnl.IPv4, "t", "c")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rules {
		for _, e := range r.Exprs {
			if u, ok := e.(*nfnl.Unknown); ok {
				names = append(names, u.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"rt", "exthdr", "socket"}, names); diff != "" {
		t.Errorf("unknown expressions (-want +got):\n%s", diff)
	}
}

func TestObjects(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, `table ip t {
	set s { type ipv4_addr . inet_service; flags interval, timeout; elements = { 10.0.0.0/8 . 80-90 timeout 1h comment "wide" } }
	map m { type inet_proto . inet_service : verdict; elements = { tcp . 30000 comment "one" : goto c } }
	chain c { }
	chain base { type nat hook prerouting priority -150; policy drop; ip saddr . tcp dport @s counter drop comment "hello"; }
}`)
	c, ctx := dial(t, ns), context.Background()
	chains, err := c.Chains(ctx, nfnl.IPv4, "t")
	if err != nil {
		t.Fatal(err)
	}
	want := &nfnl.Hook{Number: 0, Priority: -150}
	if len(chains) != 2 || !cmp.Equal(chains[1].Hook, want) || chains[1].Type != "nat" || chains[1].Policy != nfnl.VerdictDrop {
		t.Errorf("chains = %+v, want a base chain with %+v", chains, want)
	}
	set, err := c.Set(ctx, nfnl.IPv4, "t", "s")
	if err != nil || set.KeyLen != 8 || !cmp.Equal(set.Fields, []uint32{4, 2}) {
		t.Errorf("set = %+v, %v", set, err)
	}
	elements, err := c.Elements(ctx, nfnl.IPv4, "t", "s")
	if err != nil || len(elements) != 1 {
		t.Fatalf("elements = %+v, %v, want one", elements, err)
	}
	elements[0].Expiration = 0
	if diff := cmp.Diff(nfnl.Element{
		Key: []byte{10, 0, 0, 0, 0, 80, 0, 0}, KeyEnd: []byte{10, 255, 255, 255, 0, 90, 0, 0},
		Timeout: 3600_000, HasExpiration: true, Comment: "wide",
	}, elements[0]); diff != "" {
		t.Errorf("element (-want +got):\n%s", diff)
	}
	elements, err = c.Elements(ctx, nfnl.IPv4, "t", "m")
	if err != nil || len(elements) != 1 || elements[0].Verdict == nil || elements[0].Verdict.Chain != "c" || elements[0].Comment != "one" {
		t.Errorf("elements of the map = %+v, %v", elements, err)
	}
	rules, err := c.Rules(ctx, nfnl.IPv4, "t", "base")
	if err != nil || len(rules) != 1 || rules[0].Comment != "hello" {
		t.Errorf("rules = %+v, %v", rules, err)
	}
}

func TestMissingIsNotFound(t *testing.T) {
	ns := labtest.Scratch(t)
	c := dial(t, ns)
	if _, err := c.Table(context.Background(), nfnl.IPv4, "absent"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("error of a missing table = %v, want ENOENT", err)
	}
	load(t, ns, "table ip t { }")
	if _, err := c.Set(context.Background(), nfnl.IPv4, "t", "absent"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("error of a missing set = %v, want ENOENT", err)
	}
}

func TestWatchTellsWhoseTable(t *testing.T) {
	ns := labtest.Scratch(t)
	load(t, ns, "table ip ours { }\ntable ip theirs { }")
	ours := func(f nfnl.Family, name string) bool { return f == nfnl.IPv4 && name == "ours" }
	c, ctx := dial(t, ns), context.Background()
	for _, table := range []string{"theirs", "ours"} {
		w, err := nfnl.DialWatch(ns.FD())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ns.Run("nft", "add", "chain", "ip", table, "x"); err != nil {
			t.Fatal(err)
		}
		gen, err := c.Generation(ctx)
		if err != nil {
			t.Fatal(err)
		}
		touched, err := w.Touched(ctx, gen, ours)
		if err != nil || touched != (table == "ours") {
			t.Errorf("touched after a change of %s = %v, %v", table, touched, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}
