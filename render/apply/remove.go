package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"weft/render/nft"
	"weft/render/ruleset"
)

// Remove takes the tables with the name out of the kernel: first what is in
// their sets and maps, so that kube-proxy has every NodePort at once, then the
// tables. Deleting the last nat chain of a machine ends translated connections,
// so nothing should depend on the second step for the release of traffic.
// Tables that are not there are no error.
func Remove(ctx context.Context, runner nft.Runner, table string) error {
	empty := ""
	for _, family := range Families() {
		text, err := runner.List(ctx, family, table)
		if errors.Is(err, nft.ErrNoTable) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for tables to remove: %w", err)
		}
		empty += flushes(family, table, text)
	}
	if empty != "" {
		if err := runner.Load(ctx, empty); err != nil {
			return fmt.Errorf("empty the sets of table %s: %w", table, err)
		}
	}
	if err := runner.Load(ctx, Removal(table)); err != nil {
		return fmt.Errorf("delete table %s: %w", table, err)
	}
	return nil
}

// flushes is the text that empties each set and map of a listed table. What the
// parser cannot read is deleted with the table.
func flushes(family, table, listing string) string {
	rs, err := ruleset.Parse(listing)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, t := range rs.Tables {
		for _, s := range t.Sets {
			kind := "set"
			if s.Map {
				kind = "map"
			}
			fmt.Fprintf(&b, "flush %s %s %s %s\n", kind, family, table, s.Name)
		}
	}
	return b.String()
}
