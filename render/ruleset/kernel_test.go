package ruleset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

// load gives nft's judgement of a text in a namespace of its own.
func load(t testing.TB, ns *lab.Namespace, text string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.nft")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.Run("nft", "flush", "ruleset"); err != nil {
		t.Fatal(err)
	}
	_, err := ns.Run("nft", "-f", file)
	return err
}

// TestKernelAgrees holds the table of cases against nft: where nft refuses,
// Parse or Lint must say something, and what the table says of nft must be true.
func TestKernelAgrees(t *testing.T) {
	ns := labtest.Scratch(t)
	for _, c := range lintCases {
		t.Run(c.name, func(t *testing.T) {
			err := load(t, ns, c.text)
			if (err == nil) != c.nft {
				t.Errorf("nft accepts: %v, want %v: %v\n%s", err == nil, c.nft, err, c.text)
			}
			if ids, _ := found(c.text); err != nil && len(ids) == 0 {
				t.Errorf("nft refuses and nobody else says so: %v", err)
			}
			rs, perr := Parse(c.text)
			if err != nil || perr != nil {
				return
			}
			if err := load(t, ns, rs.String()); err != nil && rs.Others == nil {
				t.Errorf("nft took the text but not what was printed of it: %v\n%s", err, rs)
			}
		})
	}
}

func TestKernelTakesGoldens(t *testing.T) {
	ns := labtest.Scratch(t)
	for name, text := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			if err := load(t, ns, text); err != nil {
				t.Error(err)
			}
			rs, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := load(t, ns, rs.String()); err != nil {
				t.Errorf("%v in\n%s", err, rs)
			}
		})
	}
}

// TestKernelRefusesKeywords proves the list of keywords, both ways.
func TestKernelRefusesKeywords(t *testing.T) {
	ns := labtest.Scratch(t)
	for name := range keywords {
		if err := load(t, ns, "table ip weft {\nchain "+name+" {\n}\n}\n"); err == nil {
			t.Errorf("nft takes a chain of the name %s", name)
		}
	}
	var free strings.Builder
	for _, name := range strings.Fields("ack daddr dport established hash input label last local mod name nat output packets prerouting saddr seed services state to version") {
		if keywords[name] {
			t.Errorf("%s is no keyword", name)
		}
		free.WriteString("chain " + name + " {\n}\n")
	}
	if err := load(t, ns, "table ip weft {\n"+free.String()+"}\n"); err != nil {
		t.Error(err)
	}
}
