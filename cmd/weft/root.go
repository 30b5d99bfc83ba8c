package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weft/cmd/weft/config"
)

const about = `weft steers new NodePort connections to the endpoints that answer fastest.

A watcher writes what is known to a state file; templates turn it into nftables
rules; nft loads them, beside an untouched kube-proxy. What weft does not hold,
kube-proxy serves.

Exit codes: 0 done; 1 error; 2 diff found changes; 3 a template failed;
4 the state file was refused; 5 the lint or nft refused the rules;
7 not confirmed, the rules before are back; 8 the rules differ from the state;
9 that cannot be told; 64 wrong usage.`

// program is one invocation: its streams, and what all commands share.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	configFile     string
	flags          *pflag.FlagSet
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, errSilent) {
		fmt.Fprintln(stderr, strings.TrimRight("weft: "+detail(err), "\n")+advice(err))
	}
	return exitCode(err)
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use: "weft", Short: "Steer NodePort connections by shares", Long: about,
		SilenceErrors: true, SilenceUsage: true,
		Args: nothingElse,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpCommand(helpCommand(root))
	root.SetUsageTemplate(brief)
	p.flags = root.PersistentFlags()
	p.flags.StringVar(&p.configFile, "config", "", "configuration file ($WEFT_CONFIG)")
	for _, k := range config.Keys() {
		if !k.FileOnly {
			p.flags.String(k.Flag(), k.Default, fmt.Sprintf("%s ($%s)", k.Doc, k.Env()))
		}
		if k.Switch {
			p.flags.Lookup(k.Flag()).NoOptDefVal = "true"
		}
	}
	root.AddCommand(
		p.renderCommand(), p.applyCommand(), p.diffCommand(), p.watchCommand(), p.runCommand(), p.cleanupCommand(),
		p.statusCommand(), p.verifyCommand(), p.explainCommand(), p.checkCommand(), p.historyCommand(), p.rollbackCommand(), p.confirmCommand(),
		p.templatesCommand(), p.stateCommand(), p.configCommand(), p.manifestCommand(), p.optionsCommand(), p.versionCommand(), p.manCommand(root),
	)
	p.completions(root)
	return root
}

// config reads the effective configuration.
func (p *program) config() (*config.Config, error) {
	file := p.configFile
	if v, ok := os.LookupEnv("WEFT_CONFIG"); ok && !p.flags.Changed("config") {
		file = v
	}
	given := map[string]string{}
	p.flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			given[f.Name] = f.Value.String()
		}
	})
	c, err := config.Load(file, os.LookupEnv, given)
	if err != nil {
		return nil, usage(err)
	}
	return c, nil
}

// logger writes to standard error, so that output alone is on standard output.
func (p *program) logger(c *config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		options.ReplaceAttr = inSeconds
		return slog.New(slog.NewJSONHandler(p.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.stderr, options))
}

// inSeconds writes times that something took as a number of seconds: slog's own
// JSON has nanoseconds, which nobody reads.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key, a.Value.Duration().Seconds())
	}
	return a
}
