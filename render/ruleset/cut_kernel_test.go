package ruleset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

// seen is what packets can meet: the blocks that base chains lead to, by name.
func (h *held) seen() map[string]string {
	found := map[string]string{}
	for _, t := range h.Listing.Tables {
		refs := newReferences()
		for _, c := range t.Chains {
			refs.add(c)
		}
		for _, s := range t.Sets {
			refs.add(s)
		}
		for _, o := range t.Objects {
			refs.add(o)
		}
		name := t.Family + " " + t.Name + " "
		var visit func(b any)
		visit = func(b any) {
			key, text := describe(b)
			if key = name + key; found[key] == "" {
				found[key] = text
				refs.inBlock(b, visit)
			}
		}
		for _, c := range t.Chains {
			if c.Base != nil && !slices.Contains(t.Flags, dormant) {
				visit(c)
			}
		}
	}
	return found
}

func describe(b any) (key, text string) {
	var w writer
	switch b := b.(type) {
	case *Chain:
		w.chain(chainPart{b, true, b.Rules})
		return "chain " + b.Name, w.String()
	case *Set:
		sorted := *b
		sorted.Elements = slices.SortedFunc(slices.Values(b.Elements), func(a, b *Element) int { return strings.Compare(a.Key, b.Key) })
		w.set(&sorted)
		return "set " + b.Name, w.String()
	case *Object:
		w.object(b)
		return b.Kind + " " + b.Name, w.String()
	}
	return fmt.Sprintf("%T", b), ""
}

// TestKernelCut: the pieces of a transaction do what it does. Before the first
// piece that packets see, they see what they saw before, and all of it can be taken
// back; behind the last one, they see what comes of it.
func TestKernelCut(t *testing.T) {
	ns := labtest.Scratch(t)
	cut, undone := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := drawChange(t)
		pieces := c.tx.Cut(oneIn(t, 1, 150, 400))
		if len(pieces) > 1 {
			cut++
		}
		load := func(text string) {
			if err := ns.Load(text); err != nil {
				t.Fatalf("%v\nfrom\n%sto\n%sby\n%s", err, c.from, c.to, texts(pieces))
			}
		}
		load("flush ruleset\n" + c.to)
		want := hold(t, ns)
		load("flush ruleset\n" + c.from)
		before := hold(t, ns)
		first, last := visibleOf(pieces)
		if first > 0 {
			undone++
			k := rapid.IntRange(1, first).Draw(t, "loaded")
			for _, p := range pieces[:k] {
				load(p.Text())
			}
			load(Undo(pieces[:k]))
			if d := difference(before, hold(t, ns)); d != "" {
				t.Fatalf("not taken back: %s\nfrom\n%sby\n%swith\n%s", d, c.from, texts(pieces[:k]), Undo(pieces[:k]))
			}
		}
		for i, p := range pieces {
			load(p.Text())
			h := hold(t, ns)
			if i < first && gocmp.Diff(before.seen(), h.seen()) != "" {
				t.Fatalf("packets see it: %s\n%s", gocmp.Diff(before.seen(), h.seen()), p.Text())
			}
			if i >= last && gocmp.Diff(want.seen(), h.seen()) != "" {
				t.Fatalf("packets do not see it: %s\n%s", gocmp.Diff(want.seen(), h.seen()), p.Text())
			}
		}
		if d := difference(want, hold(t, ns)); d != "" {
			t.Fatalf("%s\nfrom\n%sto\n%sby\n%s", d, c.from, c.to, texts(pieces))
		}
	})
	if cut < 20 || undone < 10 {
		t.Errorf("%d transactions were cut and %d taken back: too few to say anything", cut, undone)
	}
}

func texts(pieces []Piece) string {
	var b strings.Builder
	for _, p := range pieces {
		fmt.Fprintf(&b, "--- visible %v, off %v\n%s", p.Visible, p.Off, p.Text())
	}
	return b.String()
}

func visibleOf(pieces []Piece) (first, last int) {
	first, last = len(pieces), -1
	for i, p := range pieces {
		if p.Visible {
			first, last = min(first, i), i
		}
	}
	return first, last
}

// dispatched is a table like those of weft: a map goes to chains, one of which has
// branches.
func dispatched(second bool, endpoints ...string) string {
	var chains, elements strings.Builder
	for i, e := range endpoints {
		fmt.Fprintf(&elements, "%d : goto sp-%d, ", 30000+i, i)
		fmt.Fprintf(&chains, "\tchain sp-%d {\n\t\tdnat to %s\n\t}\n", i, e)
	}
	jump := "\t\tudp dport vmap @ports\n"
	if second {
		jump += "\t\tudp sport vmap @ports\n"
	}
	return "table ip weft {\n\tmap ports {\n\t\ttype inet_service : verdict\n\t\telements = { " + strings.TrimSuffix(elements.String(), ", ") + " }\n\t}\n" +
		"\tchain services {\n" + jump + "\t}\n\tchain out {\n\t\ttype nat hook output priority -150; policy accept;\n\t\tjump services\n\t}\n" + chains.String() +
		"\tchain tree {\n\t\tnumgen random mod 2 < 1 goto tree/1\n\t\tgoto tree/2\n\t}\n\tchain tree/1 {\n\t\tdnat to " + endpoints[0] + "\n\t}\n\tchain tree/2 {\n\t\tdnat to " + endpoints[1] + "\n\t}\n}\n"
}

// TestCutApart: chains of which a packet meets one at most change one after the
// other; those that it may meet together change together.
func TestCutApart(t *testing.T) {
	ns := labtest.Scratch(t)
	old, new := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, []string{"10.0.1.1", "10.0.1.2", "10.0.1.3"}
	for _, c := range []struct {
		name     string
		from, to string
		want     []string // the chains that each piece flushes
	}{
		{"alone", dispatched(false, old...), dispatched(false, new...), []string{"sp-0", "sp-1", "sp-2", "tree/1 tree/2"}},
		{"two ways to the map", dispatched(true, old...), dispatched(true, new...), []string{"tree/1 tree/2", "sp-0 sp-1 sp-2"}},
		{
			"jump comes back", strings.ReplaceAll(dispatched(false, old...), "30001 : goto", "30001 : jump"), strings.ReplaceAll(dispatched(false, new...), "30001 : goto", "30001 : jump"),
			[]string{"sp-0", "sp-2", "tree/1 tree/2", "sp-1"},
		},
		{
			"with an element", dispatched(false, old...), strings.Replace(dispatched(false, new...), "30002 : goto", "31002 : goto", 1),
			[]string{"sp-0", "sp-1", "tree/1 tree/2", "sp-2"},
		},
		{
			"shared counter", strings.ReplaceAll(dispatched(false, old...), "dnat", "counter name c dnat"), "table ip weft {\n\tcounter c {\n\t\tpackets 9 bytes 9\n\t}\n" + strings.TrimPrefix(strings.ReplaceAll(dispatched(false, new...), "dnat", "counter name c dnat"), "table ip weft {\n"),
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				c.from = "table ip weft {\n\tcounter c {\n\t\tpackets 1 bytes 1\n\t}\n" + strings.TrimPrefix(c.from, "table ip weft {\n")
			}
			from, to := parsed(t, c.from), parsed(t, c.to)
			pieces := Diff(from, to).Cut(1)
			if d := gocmp.Diff(c.want, flushed(pieces)); c.want != nil && d != "" {
				t.Errorf("%s\n%s", d, texts(pieces))
			}
			if c.want == nil && len(pieces) != 1 {
				t.Errorf("a replaced counter is shared, and yet it is cut:\n%s", texts(pieces))
			}
			loadAll(t, ns, c.from, c.to, pieces)
		})
	}
}

func parsed(t *testing.T, text string) *Ruleset {
	t.Helper()
	rs, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func flushed(pieces []Piece) (list []string) {
	for _, p := range pieces {
		var names []string
		for line := range strings.Lines(p.Text()) {
			if name, ok := strings.CutPrefix(line, "flush chain ip weft "); ok {
				names = append(names, strings.TrimSpace(name))
			}
		}
		if len(names) > 0 {
			list = append(list, strings.Join(names, " "))
		}
	}
	return list
}

// loadAll loads pieces into a kernel that holds the first ruleset, and compares
// with the second.
func loadAll(t *testing.T, ns *lab.Namespace, from, to string, pieces []Piece) {
	t.Helper()
	if err := ns.Load("flush ruleset\n" + to); err != nil {
		t.Fatal(err)
	}
	want := hold(t, ns)
	if err := ns.Load("flush ruleset\n" + from); err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		if err := ns.Load(p.Text()); err != nil {
			t.Fatalf("%v\n%s", err, p.Text())
		}
	}
	if d := difference(want, hold(t, ns)); d != "" {
		t.Error(d)
	}
}
