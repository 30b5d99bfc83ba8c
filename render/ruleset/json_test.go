package ruleset

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-multierror"
	"pgregory.net/rapid"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

// listedByNft is what nft lists of what a namespace holds, as text and as JSON.
func listedByNft(t rapid.TB, ns *lab.Namespace) (*Ruleset, *Objects) {
	t.Helper()
	text, err := ns.Run("nft", "-s", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	document, err := ns.Run("nft", "-s", "-j", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	rs, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if rs = rs.WithoutTimes(); rs.HasFlags() {
		return rs, nil
	}
	objects, err := ParseObjects(string(document))
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return rs, objects
}

// loadJSON gives a document to `nft -j -f`.
func loadJSON(ns *lab.Namespace, document string) error {
	return ns.Do(func() error { return feed(document, "nft", "-j", "-f", "-") })
}

// TestKernelJSON: the JSON of a transaction does what its text does, or is an
// error.
func TestKernelJSON(t *testing.T) {
	ns := labtest.Scratch(t)
	made := 0
	rapid.Check(t, func(t *rapid.T) {
		c := drawChange(t)
		plain := func(text string) string { // comments and flags would be errors most of the time
			rs, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if chance(t, 90) {
				rs = rs.WithoutComments()
				for _, table := range rs.Tables {
					table.Flags = nil
				}
			}
			return strings.ReplaceAll(rs.String(), "packets 1 bytes 2", "") // no listing without counts has these
		}
		load := func(text string) {
			if err := ns.Load("flush ruleset\n" + text); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
		}
		load(plain(c.to))
		want := hold(t, ns)
		to, toObjects := listedByNft(t, ns)
		load(plain(c.from))
		from, fromObjects := listedByNft(t, ns)
		tx := Diff(from, to)
		document, err := tx.JSON(fromObjects, toObjects)
		if lost := new(Inexpressible); errors.As(err, &lost) {
			return
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, tx.Text())
		}
		if err := loadJSON(ns, string(document)); err != nil {
			t.Fatalf("%v\n%s\n%s", err, document, tx.Text())
		}
		if d := difference(want, hold(t, ns)); d != "" {
			t.Fatalf("%s\n%s\n%s", d, document, tx.Text())
		}
		made++
	})
	if made < 20 {
		t.Errorf("only %d documents were made", made)
	}
}

var updateGoldens = flag.Bool("update", false, "write the golden files anew")

// TestKernelJSONGoldens: what users see of a first load and of a change.
func TestKernelJSONGoldens(t *testing.T) {
	ns := labtest.Scratch(t)
	listed := func(text string) (*Ruleset, *Objects) {
		t.Helper()
		if err := ns.Load("flush ruleset\n" + text); err != nil {
			t.Fatal(err)
		}
		rs, objects := listedByNft(t, ns)
		return rs.WithoutComments(), objects
	}
	edit := strings.NewReplacer("0-499 :", "0-599 :", "500-749 :", "600-749 :", "0-49 :", "0-59 :", "50-74 :", "60-74 :", "mod 100 < 50", "mod 100 < 60",
		"mod 50 <", "mod 40 <", "tcp . 30000", "tcp . 30001", "10.43.10.165", "10.43.10.166")
	for name, text := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			none, noObjects := listed("")
			first, firstObjects := listed(text)
			second, secondObjects := listed(edit.Replace(text))
			goldenJSON(t, name+"-first", Diff(none, first), noObjects, firstObjects)
			goldenJSON(t, name+"-change", Diff(first, second), firstObjects, secondObjects)
		})
	}
}

// goldenJSON compares a document with its golden file, and what it does with what
// the text does.
func goldenJSON(t *testing.T, name string, tx *Transaction, old, new *Objects) {
	t.Helper()
	document, err := tx.JSON(old, new)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "json", name+".json")
	if *updateGoldens {
		if err := os.WriteFile(path, document, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(document)); d != "" {
		t.Errorf("%s: -golden +document:\n%s", name, d)
	}
	ns := labtest.Scratch(t)
	held := make([]held, 2)
	for i, apply := range []func() error{func() error { return ns.Load(tx.Text()) }, func() error { return loadJSON(ns, string(document)) }} {
		if err := ns.Load("flush ruleset\n" + tx.old.String()); err != nil {
			t.Fatal(err)
		}
		if err := apply(); err != nil {
			t.Fatal(err)
		}
		held[i] = hold(t, ns)
	}
	if d := difference(held[0], held[1]); d != "" {
		t.Error(d)
	}
}

// TestKernelJSONNamesWhatIsLost: what nft's JSON cannot say is an error with its
// name. That nft loses it is tried too: where it does not any more, this fails.
func TestKernelJSONNamesWhatIsLost(t *testing.T) {
	ns := labtest.Scratch(t)
	table := func(block string) string { return "table ip weft {\n" + block + "\n}\n" }
	for _, c := range []struct{ name, text, want string }{
		{"comment of a table", table(`comment "x"`), "comment of table ip weft: nft drops it"},
		{"flags of a table", table("flags dormant"), "flags of table ip weft: nft lists no JSON of a table that has some"},
		{"comment of a chain", table("chain c {\ncomment \"x\"\n}"), "comment of chain ip weft c: nft drops it"},
		{"comment of a set", table("set s {\ntype ipv4_addr\ncomment \"x\"\n}"), "comment of set ip weft s: nft drops it"},
		{"comment of a map", table("map m {\ntype ipv4_addr : verdict\ncomment \"x\"\n}"), "comment of map ip weft m: nft drops it"},
		{"typeof", table("set s {\ntypeof ip saddr\n}"), "typeof of set ip weft s: nft lists it as a type, and not always as one that it takes"},
		{"auto-merge", table("set s {\ntype ipv4_addr\nflags interval\nauto-merge\n}"), "auto-merge of set ip weft s: nft drops it"},
		{"dynamic", table("set s {\ntype ipv4_addr\nsize 10\nflags dynamic\n}"), "flag dynamic of set ip weft s: nft neither lists nor takes it"},
		{"concatenated values", table("map m {\ntype inet_service : ipv4_addr . inet_service\n}"), "type ipv4_addr . inet_service of the values of map ip weft m: nft does not take it"},
		{"milliseconds", table("set s {\ntype ipv4_addr\nflags timeout\nelements = { 10.0.0.1 timeout 90500ms }\n}"), "timeout of element 10.0.0.1 of set ip weft s: nft counts whole seconds"},
		{"ct timeout", table("ct timeout h {\nprotocol tcp\npolicy = { established: 100 }\n}"), "ct timeout ip weft h: nft does not take it, or not all of it"},
		{"synproxy", table("synproxy h {\nmss 1460\nwscale 7\n}"), "synproxy ip weft h: nft does not take it, or not all of it"},
		{"device", "table netdev weft {\nchain c {\ntype filter hook ingress device \"lo\" priority 0; policy accept;\n}\n}\n", "devices of chain netdev weft c: nft does not list them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := ns.Load("flush ruleset\n" + c.text); err != nil {
				t.Fatal(err)
			}
			to, objects := listedByNft(t, ns)
			_, err := Diff(&Ruleset{}, to).JSON(&Objects{}, objects)
			var all *multierror.Error
			if !errors.As(err, &all) || len(all.Errors) != 1 || all.Errors[0].Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestJSONOfListingsThatDoNotFit: what nft lists as text and as JSON may belong to
// different moments.
func TestJSONOfListingsThatDoNotFit(t *testing.T) {
	rs, err := Parse("table ip weft {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n\tchain c {\n\t\taccept\n\t}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, listing := range []string{
		`{"nftables": []}`,
		`{"nftables": [{"table": {"family": "ip", "name": "weft"}}, {"set": {"family": "ip", "table": "weft", "name": "s", "type": "ipv4_addr"}}, {"chain": {"family": "ip", "table": "weft", "name": "c"}}]}`,
	} {
		objects, err := ParseObjects(listing)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Diff(&Ruleset{}, rs).JSON(&Objects{}, objects); !errors.Is(err, errListing) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := ParseObjects("{"); err == nil || !strings.HasPrefix(err.Error(), "read nft's JSON: ") {
		t.Errorf("got %v", err)
	}
}
