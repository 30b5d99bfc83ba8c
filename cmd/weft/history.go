package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"weft/cmd/weft/config"
	"weft/render/history"
)

func openHistory(c *config.Config) *history.Log {
	return history.Open(c.History, history.Limits{Entries: c.HistoryLimit})
}

func (p *program) historyCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the last transactions and how they ended",
		Long: `List the last transactions, oldest first: proven (loaded, read back, and doing
what the state asks), refused (the lint or nft did not take it, or it failed where
it was tried first, so it changed nothing), unproven (loaded, and not doing what the state asks), failed.`,
		Args: nothingElse,
		RunE: func(*cobra.Command, []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			return p.listHistory(c, output)
		},
	}
	outputFlag(cmd, &output)
	cmd.AddCommand(p.historyShowCommand())
	return cmd
}

// transaction is an entry of the history, for scripts.
type transaction struct {
	ID         uint64    `json:"id" yaml:"id"`
	Time       time.Time `json:"time" yaml:"time"`
	Generation uint64    `json:"generation" yaml:"generation"`
	Set        string    `json:"set" yaml:"set"`
	Table      string    `json:"table" yaml:"table"`
	Result     string    `json:"result" yaml:"result"`
	Pinned     bool      `json:"pinned,omitempty" yaml:"pinned,omitempty"`
	Message    string    `json:"message,omitempty" yaml:"message,omitempty"`
}

// listHistory prints what can be read. What cannot is said besides.
func (p *program) listHistory(c *config.Config, output string) error {
	entries, unread := openHistory(c).List()
	if unread != nil {
		fmt.Fprintf(p.stderr, "weft: warning: %v\n", unread)
	}
	pin, pinned, err := history.Pinned(c.History)
	if err != nil {
		fmt.Fprintf(p.stderr, "weft: warning: %v\n", err)
	}
	list := []transaction{}
	for _, e := range entries {
		list = append(list, transaction{
			e.ID, e.Time.UTC(), e.Generation, e.Set, e.Table, string(e.Result), pinned && samePin(pin, e), e.Message,
		})
	}
	if output != "text" {
		return p.print(output, list)
	}
	if err := p.printHistory(list); err != nil {
		return err
	}
	if pinned {
		fmt.Fprintf(p.stdout, "Entry %d of %s is pinned until `weft rollback --release`.\n", pin.ID, pin.Time.UTC().Format(time.RFC3339))
	}
	return nil
}

// samePin tells an entry from one that got its number after the history was
// deleted.
func samePin(pin, e history.Entry) bool { return pin.ID == e.ID && pin.Time.Equal(e.Time) }

func (p *program) printHistory(list []transaction) error {
	if len(list) == 0 {
		fmt.Fprintln(p.stderr, "weft: the history is empty")
		return nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tTIME\tGENERATION\tSET\tRESULT\tMESSAGE")
	for _, t := range list {
		result := t.Result
		if t.Pinned {
			result += ", pinned"
		}
		first, _, _ := strings.Cut(t.Message, "\n")
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\t%s\n", t.ID, t.Time.Format(time.RFC3339), t.Generation, t.Set, result, first)
	}
	return w.Flush()
}

func (p *program) historyShowCommand() *cobra.Command {
	var wantState bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Print the rules of a transaction, or the state that they were made of",
		Args:  exactly(1, "the ID of an entry that `weft history` lists"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			e, err := p.entry(c, args[0])
			if err != nil {
				return err
			}
			if wantState {
				_, err = p.stdout.Write(e.State)
				return err
			}
			if e.Message != "" {
				fmt.Fprintf(p.stderr, "weft: entry %d, %s: %s\n", e.ID, e.Result, strings.TrimRight(e.Message, "\n"))
			}
			_, err = io.WriteString(p.stdout, e.Text)
			return err
		},
	}
	cmd.Flags().BoolVar(&wantState, "state", false, "print the state file that the rules were made of")
	return cmd
}

// entry is the one that an argument names.
func (p *program) entry(c *config.Config, id string) (history.Entry, error) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return history.Entry{}, usage(fmt.Errorf("got %q, expected the ID of an entry, as `weft history` lists them", id))
	}
	return openHistory(c).Get(n)
}

// keep adds an entry to the history. That this does not work must stop nothing,
// so it is said and that is all.
func (p *program) keep(c *config.Config, e history.Entry) {
	if err := openHistory(c).Add(e); err != nil {
		fmt.Fprintf(p.stderr, "weft: warning: %v\n", err)
	}
}
