package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weft/cmd/weft/config"
	"weft/render"
	"weft/state"
	"weft/templates"
)

// completions teaches every command and flag what the shell may offer for it: what
// there is to choose from, files where it is one, and nothing else.
func (p *program) completions(root *cobra.Command) {
	for _, k := range config.Keys() {
		if k.Choices != nil {
			offer(root, k.Flag(), cobra.FixedCompletions(k.Choices, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	offer(root, "templates", completeSets)
	p.completeTree(root, arguments{
		"weft status": p.completeServicePorts, "weft explain": p.completeServicePorts,
		"weft rollback": p.completeEntries, "weft history show": p.completeEntries,
		"weft templates check": completeSets, "weft templates init": completeFiles, "weft state check": completeFiles, "weft man": completeFiles,
	})
}

// arguments are what completes those of a command, by its path.
type arguments map[string]cobra.CompletionFunc

func (p *program) completeTree(cmd *cobra.Command, known arguments) {
	cmd.ValidArgsFunction = known[cmd.CommandPath()]
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	flags := func(f *pflag.Flag) {
		switch {
		case f.Name == "set":
			offer(cmd, f.Name, completeVars)
		case f.Name == "from":
			offer(cmd, f.Name, cobra.FixedCompletions(templates.Names(), cobra.ShellCompDirectiveNoFileComp))
		case f.Name == "output":
			offer(cmd, f.Name, cobra.FixedCompletions(forms(f.Usage), cobra.ShellCompDirectiveNoFileComp))
		case !isPath(f.Name):
			offer(cmd, f.Name, cobra.NoFileCompletions)
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(flags)
	cmd.PersistentFlags().VisitAll(flags)
	for _, sub := range cmd.Commands() {
		p.completeTree(sub, known)
	}
}

// offer says what completes a flag's value. A flag that has something already keeps
// it.
func offer(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	_ = cmd.RegisterFlagCompletionFunc(flag, f) // the error is that there is one
}

// isPath says whether the value of a flag is a file or a folder.
func isPath(flag string) bool {
	switch flag {
	case "config", "state", "kubeconfig", "history", "lock", "nft", "socket", "vars":
		return true
	}
	return strings.HasSuffix(flag, "-file")
}

// forms are those of an output that the help of a flag lists.
func forms(usage string) []string {
	var list []string
	for _, word := range strings.FieldsFunc(usage, func(r rune) bool { return r == ' ' || r == ',' || r == ':' }) {
		switch word {
		case "text", "json", "yaml", "nft":
			list = append(list, word)
		}
	}
	return list
}

func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func completeSets(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return append([]cobra.Completion{render.Auto}, templates.Names()...), cobra.ShellCompDirectiveDefault
}

// completeVars offers the beginning of name=value.
func completeVars(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var list []cobra.Completion
	for _, v := range render.KnownVars() {
		list = append(list, cobra.CompletionWithDesc(v.Name+"=", v.Doc))
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeServicePorts offers those of the state file, which tells nothing where it
// cannot be read.
func (p *program) completeServicePorts(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	c, err := p.config()
	if err != nil || len(args) > 0 {
		return nil, directive
	}
	text, err := os.ReadFile(c.State)
	if err != nil {
		return nil, directive
	}
	st, err := state.Decode(c.State, text)
	if err != nil {
		return nil, directive
	}
	var list []cobra.Completion
	for _, sp := range st.ServicePorts {
		port := fmt.Sprintf("%s/%d", sp.Protocol, sp.NodePort)
		list = append(list, cobra.CompletionWithDesc(port, sp.ID()), cobra.CompletionWithDesc(sp.ID(), port))
	}
	return list, directive
}

// completeEntries offers the history's, and how they ended.
func (p *program) completeEntries(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	c, err := p.config()
	if err != nil || len(args) > 0 {
		return nil, directive
	}
	entries, _ := openHistory(c).List() // what cannot be read is not offered
	var list []cobra.Completion
	for _, e := range entries {
		list = append(list, cobra.CompletionWithDesc(strconv.FormatUint(e.ID, 10), fmt.Sprintf("generation %d, %s", e.Generation, e.Result)))
	}
	return list, directive
}
