package verify_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"weft/examples/lab/labtest"
	"weft/render/verify"
)

// TestReadBesideOtherWriters: transactions of other tables do not keep a read
// from being finished, and those of our own never make it a mixture.
func TestReadBesideOtherWriters(t *testing.T) {
	st := cluster(40)
	ns := labtest.Scratch(t)
	text := "table ip weft\ndelete table ip weft\n" + ruleset(st, inline, verify.MasqueradeAll)
	file := t.TempDir() + "/full.nft"
	load(t, ns, text)
	if err := writeFile(file, text); err != nil {
		t.Fatal(err)
	}
	writers := map[string]func(i int) []string{
		"other": func(i int) []string {
			return []string{"nft", fmt.Sprintf("add table ip other; add chain ip other c%d; delete table ip other", i)}
		},
		"own": func(int) []string { return []string{"nft", "-f", file} },
	}
	for name, command := range writers {
		t.Run(name, func(t *testing.T) {
			var stop atomic.Bool
			var group errgroup.Group
			group.Go(func() error {
				for i := 0; !stop.Load(); i++ {
					c := command(i)
					if _, err := ns.Run(c[0], c[1:]...); err != nil {
						return err
					}
				}
				return nil
			})
			read, moving := 0, 0
			for range 40 {
				rs, err := verify.Read(context.Background(), ns.FD(), tables)
				if errors.Is(err, verify.ErrMoving) && name == "own" {
					moving++
					continue
				}
				if err != nil {
					t.Errorf("read: %v", err)
					break
				}
				read++
				if r := verify.Check(rs, st, verify.Want{}); !r.OK() {
					t.Errorf("a mixture was read: %v", r)
					break
				}
			}
			stop.Store(true)
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
			t.Logf("%d read, %d given up", read, moving)
		})
	}
}
