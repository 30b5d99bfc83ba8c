package ruleset

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/verify/nfnl"
)

// held is what a kernel holds.
type held struct {
	Listing *Ruleset            // as nft says
	Netlink map[string][]string // as the kernel says: what stands in each block, in an order of its own
	handles map[string]string
}

// families are those of the drawn tables.
var families = map[string]nfnl.Family{"ip": nfnl.IPv4, "ip6": nfnl.IPv6, "inet": nfnl.INet}

// hold reads what a namespace holds.
func hold(t rapid.TB, ns *lab.Namespace) held {
	t.Helper()
	h := held{listing(t, ns), map[string][]string{}, map[string]string{}}
	conn, err := nfnl.Dial(ns.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, table := range h.Listing.Tables {
		if err := h.read(conn, families[table.Family], table.Name); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *held) read(conn *nfnl.Conn, family nfnl.Family, table string) error {
	ctx := context.Background()
	name := func(kind, block string) string { return fmt.Sprintf("%s %s %s %s", kind, family, table, block) }
	chains, err := conn.Chains(ctx, family, table)
	if err != nil {
		return err
	}
	for _, c := range chains {
		key := name("chain", c.Name)
		h.handles[key] = fmt.Sprint(c.Handle)
		hook := ""
		if c.Hook != nil {
			hook = fmt.Sprintf("%+v", *c.Hook)
		}
		h.Netlink[key] = []string{fmt.Sprint(c.Type, hook, c.Policy, c.Flags)}
	}
	sets, err := conn.Sets(ctx, family, table)
	if err != nil {
		return err
	}
	contents := map[string]string{} // of anonymous sets, whose names are none of the text's
	for _, s := range sets {
		elements, err := conn.Elements(ctx, family, table, s.Name)
		if err != nil {
			return err
		}
		var list []string
		for _, e := range elements {
			e.Expiration, e.HasExpiration = 0, false
			list = append(list, fmt.Sprintf("%x-%x %x %v %v %v %v %d %q %s %s", e.Key, e.KeyEnd, e.Data, e.Verdict, e.Object, e.End, e.CatchAll, e.Timeout, e.Comment, e.Exprs, e.Unknown))
		}
		slices.Sort(list)
		head := fmt.Sprint(s.Flags, s.KeyLen, s.DataLen, s.KeyType, s.DataType, s.ObjType, s.Fields, s.Exprs)
		if s.Flags&nfnl.SetAnonymous != 0 {
			contents[s.Name] = head + strings.Join(list, ";")
			continue
		}
		h.handles[name("set", s.Name)] = fmt.Sprint(s.Handle)
		h.Netlink[name("set", s.Name)] = append([]string{head}, list...)
	}
	rules, err := conn.Rules(ctx, family, table)
	if err != nil {
		return err
	}
	for _, r := range rules {
		text := anonymous.ReplaceAllStringFunc(fmt.Sprint(r.Exprs, r.Comment, r.Unknown), func(name string) string { return contents[name] })
		key := name("chain", r.Chain)
		h.handles[key] += fmt.Sprint(" ", r.Handle)
		h.Netlink[key] = append(h.Netlink[key], text)
	}
	return nil
}

var anonymous = regexp.MustCompile(`__(set|map)\d+`)

// difference is what is not the same in two kernels.
func difference(a, b held) string {
	return gocmp.Diff(a.Listing, b.Listing, sameText) + gocmp.Diff(a.Netlink, b.Netlink)
}

// listing gives what nft lists, in an order of its own but for base chains, of
// which the kernel calls one after the other.
func listing(t rapid.TB, ns *lab.Namespace) *Ruleset {
	t.Helper()
	out, err := ns.Run("nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	rs, err := Parse(expiry.ReplaceAllString(string(out), ""))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(rs.Tables, func(a, b *Table) int { return cmp.Compare(a.Family, b.Family) })
	for _, table := range rs.Tables {
		slices.SortStableFunc(table.Chains, func(a, b *Chain) int { return cmp.Compare(orderOf(a), orderOf(b)) })
		slices.SortFunc(table.Sets, func(a, b *Set) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(table.Objects, func(a, b *Object) int { return cmp.Compare(a.Kind+a.Name, b.Kind+b.Name) })
		for _, s := range table.Sets {
			slices.SortFunc(s.Elements, func(a, b *Element) int { return cmp.Compare(a.Text, b.Text) })
		}
	}
	return rs
}

var expiry = regexp.MustCompile(` expires [0-9a-z]+`)

func orderOf(c *Chain) string {
	if c.Base != nil {
		return fmt.Sprint(c.Base.place())
	}
	return "~" + c.Name
}

// change is a transaction that a test made of a random pair.
type change struct {
	from, to string
	tx       *Transaction
}

func drawChange(t *rapid.T) change {
	var c change
	first := drawTable(t, oneIn(t, "ip", "ip", "inet"), nil)
	second := drawTable(t, first.family, first)
	var other *drawn
	if chance(t, 20) {
		other = &drawn{family: "ip6"}
	}
	texts := []*string{&c.from, &c.to}
	for i, d := range []*drawn{first, second} {
		if chance(t, 5) {
			d = nil
		}
		*texts[i] = d.String() + other.String()
		if chance(t, 50) {
			other = nil
		}
	}
	var p Parser
	from, err := p.Parse(strings.SplitAfter(c.from, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	to, err := p.Parse(strings.SplitAfter(c.to, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	c.tx = Diff(from, to)
	return c
}

// TestKernelDiff: the difference of two rulesets, applied to a kernel that holds
// the first, gives what loading the second gives; what it does not touch stays as
// it is; and nothing of it can be left out.
func TestKernelDiff(t *testing.T) {
	ns := labtest.Scratch(t)
	rapid.Check(t, func(t *rapid.T) {
		c := drawChange(t)
		load := func(text string) {
			if err := ns.Load("flush ruleset\n" + text); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
		}
		load(c.to)
		want := hold(t, ns)
		load(c.from)
		before := hold(t, ns)
		if err := ns.Load(c.tx.Text()); err != nil {
			t.Fatalf("%v\nfrom\n%sto\n%sby\n%s", err, c.from, c.to, c.tx.Text())
		}
		after := hold(t, ns)
		if d := difference(want, after); d != "" {
			t.Fatalf("%s\nfrom\n%sto\n%sby\n%s", d, c.from, c.to, c.tx.Text())
		}
		if d := gocmp.Diff(untouched(c.tx, before), untouched(c.tx, after)); d != "" {
			t.Fatalf("not touched and yet another: %s\nfrom\n%sto\n%sby\n%s", d, c.from, c.to, c.tx.Text())
		}
		less := c.tx.without(t)
		if less == nil {
			return
		}
		load(c.from)
		if err := ns.Load(less.Text()); err == nil && difference(want, hold(t, ns)) == "" {
			t.Fatalf("less would do: %s\nfrom\n%sto\n%sthan\n%s", less.Text(), c.from, c.to, c.tx.Text())
		}
	})
}

// untouched are the handles of the blocks that a transaction leaves as they are.
func untouched(tx *Transaction, h held) map[string]string {
	left := map[string]string{}
	for block, handles := range h.handles {
		if !touches(tx, block) {
			left[block] = handles
		}
	}
	return left
}

func touches(tx *Transaction, block string) bool {
	f := strings.Fields(block)
	for _, t := range tx.Touched {
		if t.Family != f[1] || t.Table != f[2] {
			continue
		}
		inSets := slices.ContainsFunc(t.Sets, func(s TouchedSet) bool { return s.Name == f[3] && s.Whole })
		if t.Whole || f[0] == "chain" && slices.Contains(t.Chains, f[3]) || f[0] == "set" && inSets {
			return true
		}
	}
	return false
}

// TestKernelDeletesWhatIsOver: elements whose time ran out are no hindrance, be
// it their own time or that of their set.
func TestKernelDeletesWhatIsOver(t *testing.T) {
	const from = "table ip weft {\n\tset own {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t\telements = { 10.0.0.1 timeout 10ms, 10.0.0.2 timeout 1h, 10.0.0.3, 10.0.0.4 timeout 10ms }\n\t}\n" +
		"\tmap mortal {\n\t\ttype inet_service : verdict\n\t\ttimeout 10ms\n\t\telements = { 80 : goto a, 81 comment \"x\" : accept, 82 timeout 1h : drop }\n\t}\n\tchain a {\n\t}\n}\n"
	const to = "table ip weft {\n\tset own {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t\telements = { 10.0.0.3, 10.0.0.4 timeout 1h }\n\t}\n" +
		"\tmap mortal {\n\t\ttype inet_service : verdict\n\t\ttimeout 10ms\n\t\telements = { 81 timeout 1h : drop, 82 timeout 1h : drop }\n\t}\n}\n"
	ns := labtest.Scratch(t)
	old, err := Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	new, err := Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Load(to); err != nil {
		t.Fatal(err)
	}
	want := hold(t, ns)
	for _, wait := range []bool{false, true} {
		if err := ns.Load("flush ruleset\n" + from); err != nil {
			t.Fatal(err)
		}
		for wait {
			out, err := ns.Run("nft", "list", "ruleset")
			if err != nil {
				t.Fatal(err)
			}
			wait = strings.Contains(string(out), "10ms")
		}
		tx := Diff(old, new)
		if err := ns.Load(tx.Text()); err != nil {
			t.Fatalf("%v\n%s", err, tx.Text())
		}
		if d := difference(want, hold(t, ns)); d != "" {
			t.Error(d)
		}
	}
}

// feed runs a program that gets text on its standard input.
func feed(text, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// TestKernelShrinksTimedInterval: nft takes an interval that a transaction deletes
// for still there if the transaction adds it first, as one does that may be over.
func TestKernelShrinksTimedInterval(t *testing.T) {
	table := func(elements string) string {
		return "table ip weft {\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags interval,timeout\n\t\telements = { " + elements + " }\n\t}\n}\n"
	}
	ns := labtest.Scratch(t)
	var texts [2]string
	var rulesets [2]*Ruleset
	for i, elements := range []string{"10.0.2.0/24, 10.0.0.0/24 timeout 1h", "10.0.2.0/24, 10.0.0.0/25 timeout 1h"} {
		var err error
		texts[i] = table(elements)
		if rulesets[i], err = Parse(texts[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := ns.Load(texts[1]); err != nil {
		t.Fatal(err)
	}
	want := hold(t, ns)
	for _, text := range []string{"flush ruleset\n" + texts[0], Diff(rulesets[0], rulesets[1]).Text()} {
		if err := ns.Load(text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	if d := difference(want, hold(t, ns)); d != "" {
		t.Error(d)
	}
}
