package nfnl_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
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

// TestLikeNft compares every expression and every element of the shipped and the
// example sets, and of the constructs in testdata, with what nft's own decoder says
// about the same kernel objects.
func TestLikeNft(t *testing.T) {
	var files []string
	for _, pattern := range []string{"testdata/*.nft", "../../testdata/*.nft", "../../../examples/seed/*.nft"} {
		list, err := filepath.Glob(pattern)
		if err != nil || len(list) == 0 {
			t.Fatal("no rulesets ", pattern, err)
		}
		files = append(files, list...)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			ns := labtest.Scratch(t)
			if _, err := ns.Run("nft", "-f", file); err != nil {
				t.Fatal(err)
			}
			tables, err := ns.Run("nft", "list", "tables")
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(tables)) {
				words := strings.Fields(line)
				likeNft(t, ns, words[1], words[2])
			}
		})
	}
}

var families = map[string]nfnl.Family{"ip": nfnl.IPv4, "ip6": nfnl.IPv6, "inet": nfnl.INet}

func likeNft(t *testing.T, ns *lab.Namespace, family, table string) {
	t.Helper()
	out, err := ns.Run("nft", "--debug=netlink", "list", "table", family, table)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, ns)
	if diff := cmp.Diff(expressions(string(out)), decoded(t, c, families[family], table)); diff != "" {
		t.Errorf("expressions of %s %s (-nft +ours):\n%s", family, table, diff)
	}
	if diff := cmp.Diff(listedElements(string(out)), decodedElements(t, c, families[family], table)); diff != "" {
		t.Errorf("elements of %s %s (-nft +ours):\n%s", family, table, diff)
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

func decoded(t *testing.T, c *nfnl.Conn, f nfnl.Family, table string) []string {
	t.Helper()
	rules, err := c.Rules(context.Background(), f, table)
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

// listedElements finds the elements in nft's debug output, which has two lines for
// those with a comment.
func listedElements(debug string) []string {
	var list []string
	set := ""
	for line := range strings.Lines(debug) {
		words := strings.Fields(line)
		switch {
		case len(words) > 2 && strings.HasPrefix(words[2], "@"):
			set = words[2]
		case len(words) > 0 && words[0] == "element":
			before, _, _ := strings.Cut(line, "[end]")
			list = append(list, set+" "+strings.Join(strings.Fields(before), " "))
		}
	}
	slices.Sort(list)
	return list
}

func decodedElements(t *testing.T, c *nfnl.Conn, f nfnl.Family, table string) []string {
	t.Helper()
	sets, err := c.Sets(context.Background(), f, table)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range sets {
		elements, err := c.Elements(context.Background(), f, table, s.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range elements {
			if e.Unknown != "" {
				t.Errorf("element of %s: %s", s.Name, e.Unknown)
			}
			list = append(list, "@"+s.Name+" element "+elementText(e))
		}
	}
	slices.Sort(list)
	return list
}

// elementText is the element as libnftnl writes it: words of the host, flags. It
// leaves out the objects of object maps.
func elementText(e nfnl.Element) string {
	text := hostWords(e.Key)
	if e.KeyEnd != nil {
		text += " - " + hostWords(e.KeyEnd)
	}
	text = strings.TrimSpace(text + " :")
	switch {
	case e.Verdict != nil:
		text += " " + e.Verdict.String()
	case e.Data != nil:
		text += " " + hostWords(e.Data)
	}
	flags := 0
	switch {
	case e.End:
		flags = 1
	case e.CatchAll:
		flags = 2
	}
	return fmt.Sprintf("%s %d", text, flags)
}

func hostWords(b []byte) string {
	var words []string
	for i := 0; i < len(b); i += 4 {
		var w [4]byte
		copy(w[:], b[i:])
		words = append(words, fmt.Sprintf("%08x", binary.NativeEndian.Uint32(w[:])))
	}
	return strings.Join(words, " ")
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

// TestRulesOfChains: rules that are read chain by chain, over several datagrams, are
// those that are read all at once.
func TestRulesOfChains(t *testing.T) {
	ns := labtest.Scratch(t)
	var text strings.Builder
	text.WriteString("table ip t {\n")
	names := []string{"none", "a", "b"}
	for i, name := range names {
		fmt.Fprintf(&text, "\tchain %s {\n", name)
		for n := range 200 * i {
			fmt.Fprintf(&text, "\t\ttcp dport %d counter accept comment \"rule %d\"\n", 1+n, n)
		}
		text.WriteString("\t}\n")
	}
	text.WriteString("}\n")
	load(t, ns, text.String())
	c, ctx := dial(t, ns), t.Context()
	all, err := c.Rules(ctx, nfnl.IPv4, "t")
	if err != nil || len(all) != 600 {
		t.Fatalf("%d rules, %v, want 600", len(all), err)
	}
	alone, err := c.Rules(ctx, nfnl.IPv4, "t", names...)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(all, alone) {
		t.Errorf("chain by chain: %d rules that are not those of all at once", len(alone))
	}
	if rules, err := c.Rules(ctx, nfnl.IPv4, "t", "none"); err != nil || len(rules) > 0 {
		t.Errorf("rules of an empty chain = %v, %v", rules, err)
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

// TestReadAgain: what was read stays what it was while more is read by the same Conn, and
// chains that are read one by one say what they say when all are read, however many
// expressions that takes.
func TestReadAgain(t *testing.T) {
	ns := labtest.Scratch(t)
	var text strings.Builder
	text.WriteString("table ip t {\n\tmap m { type ipv4_addr : ipv4_addr; elements = { 10.0.0.1 : 10.0.0.2 } }\n")
	text.WriteString("\tset other { type ipv4_addr; elements = { 10.9.9.9, 10.9.9.10 } }\n")
	var names []string
	for c := range 6 {
		names = append(names, fmt.Sprint("c", c))
		fmt.Fprintf(&text, "\tchain c%d {\n", c)
		for r := range 300 {
			fmt.Fprintf(&text, "\t\tip daddr 10.%d.%d.%d counter accept comment \"r%d\"\n", c, r/256, r%256, r)
		}
		text.WriteString("\t}\n")
	}
	load(t, ns, text.String()+"}\n")
	c, ctx := dial(t, ns), t.Context()
	element, err := c.Element(ctx, nfnl.IPv4, "t", "m", []byte{10, 0, 0, 1})
	if err != nil || element == nil {
		t.Fatal(element, err)
	}
	elements, err := c.Elements(ctx, nfnl.IPv4, "t", "m")
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Rules(ctx, nfnl.IPv4, "t", names...)
	if err != nil || len(all) != 1800 {
		t.Fatal(len(all), err)
	}
	var each []*nfnl.Rule
	for _, name := range names {
		rules, err := c.Rules(ctx, nfnl.IPv4, "t", name)
		if err != nil {
			t.Fatal(err)
		}
		each = append(each, rules...)
	}
	if _, err := c.Elements(ctx, nfnl.IPv4, "t", "other"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, each, cmp.Comparer(func(a, b nfnl.Expr) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("one by one (-all +each):\n%.2000s", diff)
	}
	for _, e := range append(elements, *element) {
		if !bytes.Equal(e.Key, []byte{10, 0, 0, 1}) || !bytes.Equal(e.Data, []byte{10, 0, 0, 2}) {
			t.Errorf("the element became %v : %v", e.Key, e.Data)
		}
	}
	if n := nfnl.Known(c); n == 0 || n > 1024+2*300 {
		t.Errorf("%d expressions are kept, want those of a few chains", n)
	}
}
