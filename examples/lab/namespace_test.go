package lab_test

import (
	"strings"
	"testing"

	"weft/examples/lab/labtest"
)

func TestNamespaceIsEmptyAndSeparate(t *testing.T) {
	ns := labtest.Scratch(t)
	out, err := ns.Run("ip", "-o", "link")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); len(lines) != 1 || !strings.Contains(lines[0], "lo:") {
		t.Errorf("links of a new namespace = %q, want the loopback alone", lines)
	}
	if _, err := ns.Run("nft", "add", "table", "ip", "x"); err != nil {
		t.Error(err)
	}
	other := labtest.Scratch(t)
	if out, err := other.Run("nft", "list", "ruleset"); err != nil || len(out) != 0 {
		t.Errorf("ruleset of another namespace = %q, %v, want none", out, err)
	}
}
