package apply

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"weft/render/nft"
)

// Listing is nft's own text of all tables with the name, as the kernel holds
// them; empty where there are none. What only tells the time is left out.
func Listing(ctx context.Context, runner nft.Runner, table string) (string, error) {
	var b strings.Builder
	for _, family := range Families() {
		text, err := runner.List(ctx, family, table)
		if errors.Is(err, nft.ErrNoTable) {
			continue
		}
		if err != nil {
			return "", err
		}
		b.WriteString(timePattern.ReplaceAllString(text, ""))
	}
	return b.String(), nil
}

var timePattern = regexp.MustCompile(` expires [0-9a-z]+`)

// Listing is how nft would list the desired ruleset. Listed text is never the
// text that was loaded (priorities get names, redundant matches go, elements
// are sorted), so the ruleset is loaded into a network namespace that exists
// for the moment, and listed there: what then differs is a real difference.
func (d *Desired) Listing(ctx context.Context, runner nft.Runner) (string, error) {
	var text string
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("make a network namespace to compare in: %w", err)
			}
			if err := d.Load(ctx, runner); err != nil {
				return err
			}
			var err error
			text, err = Listing(ctx, runner, d.Table)
			return err
		}()
	}()
	return text, <-done
}
