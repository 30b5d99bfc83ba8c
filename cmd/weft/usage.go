package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weft/state/strict"
)

// nothingElse refuses arguments, of which the first may be a command that is
// spelt otherwise.
func nothingElse(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !cmd.HasAvailableSubCommands():
		return usage(fmt.Errorf("%s: got %q, expected flags alone", cmd.CommandPath(), args[0]))
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return usage(fmt.Errorf("unknown command %q%s; `%s --help` lists those that there are", args[0], strict.Suggest(args[0], known), cmd.CommandPath()))
}

// wrongFlag says which flag may have been meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage(err)
	}
	var known []string
	note := func(f *pflag.Flag) { known = append(known, f.Name) }
	cmd.LocalFlags().VisitAll(note)
	cmd.InheritedFlags().VisitAll(note)
	name := unknown.GetSpecifiedName()
	suggestion := strings.Replace(strict.Suggest(name, known), `"`, `"--`, 1)
	return usage(fmt.Errorf("%w%s; see `%s --help`, and `weft options`", err, suggestion, cmd.CommandPath()))
}

// helpCommand is cobra's, which takes what it does not know for nothing.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			if err == nil && len(rest) > 0 {
				err = nothingElse(found, rest)
			}
			if err != nil {
				return err
			}
			return found.Help()
		},
	}
}

// advice is what to do about an error that says too little for it.
func advice(err error) string {
	forbidden := errors.Is(err, syscall.EPERM) || strings.Contains(err.Error(), "Operation not permitted")
	if forbidden && os.Geteuid() != 0 && !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		return "\nThis takes root, or CAP_NET_ADMIN."
	}
	return ""
}
