package nft_test

import (
	"os"
	"path/filepath"
	"testing"

	"weft/render/nft"
)

func TestFound(t *testing.T) {
	empty, folder := t.TempDir(), t.TempDir()
	program := filepath.Join(folder, "nft")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho nftables v1.2.3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", empty)
	none := nft.Runner{}.Found()
	if none.Path != "" {
		t.Errorf("where there is none: got %q", none.Path)
	}
	t.Setenv("PATH", folder)
	found := nft.Runner{}.Found()
	if _, err := none.Version(t.Context()); err != nil {
		t.Errorf("installed later: %v", err)
	}
	t.Setenv("PATH", empty)
	if v, err := found.Version(t.Context()); err != nil || v != [3]int{1, 2, 3} || found.Path != program {
		t.Errorf("got %v of %q, %v", v, found.Path, err)
	}
}
