package apply

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"weft/render/nft"
)

// Listing is nft's own text of all tables with the name, as the kernel holds
// them; empty where there are none. What only tells the time, or what packets
// came by, is left out.
func Listing(ctx context.Context, runner nft.Runner, table string) (string, error) {
	var b strings.Builder
	for _, family := range Families() {
		text, err := runner.ListStateless(ctx, family, table)
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
// are sorted), so it is listed where it was loaded for the purpose: what then
// differs is a real difference.
func (d *Desired) Listing(ctx context.Context, runner nft.Runner) (string, error) {
	var text string
	err := nft.InScratch(func() error {
		if err := d.Load(ctx, runner); err != nil {
			return err
		}
		var err error
		text, err = Listing(ctx, runner, d.Table)
		return err
	})
	return text, err
}

// Rehearse loads the desired ruleset where no packet is and proves it there, so
// that rules that do not do their job never see one. It costs as much as the
// real thing.
func (d *Desired) Rehearse(ctx context.Context, runner nft.Runner) error {
	err := nft.InScratch(func() error {
		if err := d.Load(ctx, runner); err != nil {
			return err
		}
		return d.Prove(ctx)
	})
	var unproven *Unproven
	if errors.As(err, &unproven) {
		unproven.Rehearsed = true
	}
	return err
}
