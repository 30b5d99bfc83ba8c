package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"

	"weft/examples/lab"
)

// ask shows who answers n connections of a demo that is up. It says nothing of
// the weights, which may have been edited meanwhile.
func ask(ctx context.Context, n int, out io.Writer) error {
	client, err := lab.Existing(stage + "-client")
	if err != nil {
		return fmt.Errorf("no demo is up (make demo KEEP=1): %w", err)
	}
	defer client.Close()
	got, err := lab.Count(ctx, client, "tcp", netip.AddrPortFrom(lab.NodeAddr(1), nodePort), n, 8)
	sum := total(got)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		share := float64(got[name]) / float64(sum)
		fmt.Fprintf(out, "%-8s  %5.1f %%  %5d  %s\n", name, 100*share, got[name], bar(share))
	}
	return err
}
