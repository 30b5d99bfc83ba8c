package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weft/cmd/weft/config"
	"weft/cmd/weft/overview"
)

// refresh is the time between two looks of --watch.
const refresh = 2 * time.Second

func (p *program) statusCommand() *cobra.Command {
	var output string
	var watch, all bool
	cmd := &cobra.Command{
		Use:   "status [SERVICE|PROTOCOL/NODEPORT]",
		Short: "Show what weft does on this node",
		Long: `Ask the running weft through its socket, and show on one screen what is proven
and since when, its inputs and their age, the nodes, the ServicePorts and what is
wrong. With a Service or a NodePort, show its endpoints. When no weft runs, show
what its files say.

The exit code is 1 if no weft runs or something is wrong.`,
		Example: "  weft status --watch\n  weft status tcp/30000\n  weft status -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			form := p.form(all)
			form.Only = strings.Join(args, "")
			if watch && output == "text" {
				return p.watchStatus(cmd.Context(), c, form)
			}
			return p.showStatus(cmd.Context(), c, form, output)
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "refresh in place until interrupted")
	cmd.Flags().BoolVar(&all, "all", false, "list all ServicePorts")
	return cmd
}

// look asks the agents of the configuration.
func (p *program) look(ctx context.Context, c *config.Config) *overview.Overview {
	from := overview.Sources{StateFile: c.State, History: openHistory(c)}
	if c.Socket != "" {
		from.Sockets = []string{c.Socket, watchSocket(c)}
	}
	return overview.Look(ctx, from)
}

func (p *program) showStatus(ctx context.Context, c *config.Config, form overview.Form, output string) error {
	o := p.look(ctx, c)
	var err error
	switch {
	case output != "text":
		err = p.print(output, o)
	case form.Only != "" && !o.Has(form.Only):
		return fmt.Errorf("weft knows no ServicePort %s", form.Only)
	default:
		err = o.Print(p.stdout, form)
	}
	if err == nil && !o.Healthy() {
		return coded{exitError, errSilent}
	}
	return err
}

// The screen of a terminal: another one while we write to it, the cursor at its
// top, what is left of a line or of the screen cleared.
const (
	otherScreen = "\x1b[?1049h\x1b[?25l"
	ownScreen   = "\x1b[?25h\x1b[?1049l"
	top         = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

// watchStatus writes each look over the one before.
func (p *program) watchStatus(ctx context.Context, c *config.Config, form overview.Form) error {
	_, _, terminal := p.terminal()
	if terminal {
		fmt.Fprint(p.stdout, otherScreen)
		defer fmt.Fprint(p.stdout, ownScreen)
	}
	for {
		if terminal {
			form.Width, form.Height, _ = p.terminal()
		}
		var text strings.Builder
		if err := p.look(ctx, c).Print(&text, form); err != nil {
			return err
		}
		screen := text.String() + "\n"
		if terminal {
			screen = top + strings.ReplaceAll(strings.TrimRight(text.String(), "\n"), "\n", clearLine+"\n") + clearLine + clearRest
		}
		if _, err := io.WriteString(p.stdout, screen); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(refresh):
		}
	}
}

// listed is how many ServicePorts are listed without --all.
const listed = 20

// form is what the terminal can show. Without one, lines are not cut.
func (p *program) form(all bool) overview.Form {
	_, _, terminal := p.terminal()
	f := overview.Form{ServicePorts: listed, Blocks: isUTF8(os.Getenv)}
	f.Color = terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if all {
		f.ServicePorts = 0
	}
	return f
}

// isUTF8 is what the locale says of the characters that may be written.
func isUTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// terminal is the size of the terminal that the output goes to; false if it goes
// elsewhere.
func (p *program) terminal() (width, height int, ok bool) {
	file, isFile := p.stdout.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	return int(size.Col), int(size.Row), true
}
