package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// brief is the help of a command without the flags that all commands share: there
// is one for each key of the configuration, and they would bury its own.
const brief = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if or .IsAvailableCommand (eq .Name "help")}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .LocalNonPersistentFlags.HasAvailableFlags}}

Flags:
{{.LocalNonPersistentFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}

{{if .HasAvailableSubCommands}}"{{.CommandPath}} COMMAND --help" tells more of a command, {{end}}"weft options" lists the flags that all commands take.
`

// optionsCommand lists the flags that all commands share, as kubectl options does.
func (p *program) optionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "options",
		Short: "List the flags that all commands take",
		Long: `List the flags that all commands take: one for each key of the configuration.
A flag goes before the environment, the environment before the file (--config),
the file before the default. weft config view shows what is in force.`,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), p.flags.FlagUsagesWrapped(100))
			return err
		},
	}
}
