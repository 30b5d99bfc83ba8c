package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"weft/cmd/weft/config"
	"weft/render/apply"
	"weft/render/history"
	"weft/render/nft"
)

func (p *program) rollbackCommand() *cobra.Command {
	var release bool
	cmd := &cobra.Command{
		Use:   "rollback ID | --release",
		Short: "Load earlier rules, and keep them until they are released",
		Long: `Pin the rules of an entry of the history: a running agent loads them, and keeps
them whatever the state and the templates say, until --release. So does one that
is started later. Without an agent they are loaded at once, and work without a
heartbeat until somebody takes them out.`,
		Example: "  weft history\n  weft rollback 41\n  weft rollback --release",
		Args: func(cmd *cobra.Command, args []string) error {
			if release != (len(args) == 0) || len(args) > 1 {
				return usage(errors.New("weft rollback: expected either the ID of an entry that `weft history` lists or --release"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			if release {
				return p.release(c)
			}
			e, err := p.entry(c, args[0])
			if err != nil {
				return err
			}
			return p.rollback(cmd.Context(), c, e)
		},
	}
	cmd.Flags().BoolVar(&release, "release", false, "let the state and the templates have their say again")
	return cmd
}

func (p *program) rollback(ctx context.Context, c *config.Config, e history.Entry) error {
	if e.Result != history.Proven {
		return fmt.Errorf("entry %d was %s: only rules that were proven can be returned to", e.ID, e.Result)
	}
	desired, err := apply.Recorded(e)
	if err != nil {
		return err
	}
	err = p.holding(c, e.Table, "weft rollback", func() error {
		if err := desired.LoadForGood(ctx, nft.Runner{Path: c.Nft}); err != nil {
			return err
		}
		return desired.Prove(ctx)
	})
	agent := (*lockError)(nil)
	if errors.As(err, &agent) && agent.err == nil {
		return p.pin(c, e, agent.holder+" loads it")
	}
	if err != nil {
		return err
	}
	return p.pin(c, e, "loaded and proven; no agent runs, so the rules work until `weft cleanup`")
}

func (p *program) pin(c *config.Config, e history.Entry, how string) error {
	if err := history.Pin(c.History, e); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "weft: entry %d pinned until `weft rollback --release`: %s\n", e.ID, how)
	return nil
}

func (p *program) release(c *config.Config) error {
	was, err := history.Release(c.History)
	if err != nil {
		return err
	}
	if !was {
		return errors.New("nothing is pinned")
	}
	fmt.Fprintln(p.stderr, "weft: released: a running agent loads what the state asks for; without one, `weft apply` does")
	return nil
}

// notPinned is an error if rules are pinned, or if that cannot be told: whoever did
// that meant it.
func (p *program) notPinned(c *config.Config) error {
	pin, pinned, err := history.Pinned(c.History)
	if err != nil {
		return fmt.Errorf("%w: `weft rollback --release` ends a pin that cannot be read", err)
	}
	if !pinned {
		return nil
	}
	return fmt.Errorf("entry %d of the history is pinned: `weft rollback --release` first", pin.ID)
}
