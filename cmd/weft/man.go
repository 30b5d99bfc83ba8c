package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand is for whoever makes packages, and so in no list.
func (p *program) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:    "man FOLDER",
		Short:  "Write a man page for each command",
		Long:   "Write a man page for each command into a folder. They have the date that\n$SOURCE_DATE_EPOCH says, so that a package can be made again, and that of today\nwithout it.",
		Hidden: true,
		Args:   exactly(1, "a folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			date := time.Now()
			if text, ok := os.LookupEnv("SOURCE_DATE_EPOCH"); ok {
				var seconds int64
				if _, err := fmt.Sscan(text, &seconds); err != nil {
					return usage(fmt.Errorf("SOURCE_DATE_EPOCH: got %q, expected seconds since 1970", text))
				}
				date = time.Unix(seconds, 0).UTC()
			}
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Title: "WEFT", Section: "8", Source: "weft " + readVersion().Version, Manual: "weft", Date: &date}
			return doc.GenManTree(root, header, args[0])
		},
	}
}
