package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"weft/cmd/weft/config"
	"weft/render"
	"weft/state"
	"weft/state/strict"
)

// varFlags are the flags that change vars for one command.
type varFlags struct {
	file      string
	set       []string
	heartbeat string
}

func (v *varFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&v.file, "vars", "", "YAML file of vars, which go before those of the configuration")
	cmd.Flags().StringArrayVar(&v.set, "set", nil, "one var as name=value (YAML), before --vars; may be repeated")
	cmd.Flags().StringVar(&v.heartbeat, "heartbeat", "", "how long the rules work without a live weft, such as 60s; 0 is for ever")
}

// inputs are what a ruleset is made of.
type inputs struct {
	config *config.Config
	set    *render.Set
	vars   render.Vars
}

// inputs loads the templates and vars that the configuration and flags name.
func (p *program) inputs(v *varFlags) (*inputs, error) {
	c, err := p.config()
	if err != nil {
		return nil, err
	}
	set, vars, err := v.load(c)
	if err != nil {
		return nil, err
	}
	return &inputs{c, set, vars}, nil
}

// load reads the template set and its vars. Later ones go before earlier ones:
// weft's defaults, the set's own, the configuration's, --vars, --set, --heartbeat.
func (v *varFlags) load(c *config.Config) (*render.Set, render.Vars, error) {
	set, err := render.Load(c.Templates)
	if err != nil {
		return nil, nil, templateError(err)
	}
	over := render.Vars{}
	maps.Copy(over, c.Vars)
	if v.file != "" {
		text, err := os.ReadFile(v.file)
		if err != nil {
			return nil, nil, fmt.Errorf("read vars: %w", err)
		}
		file, err := render.ParseVars(v.file, text)
		if err != nil {
			return nil, nil, usage(err)
		}
		maps.Copy(over, file)
	}
	if err := v.override(over); err != nil {
		return nil, nil, err
	}
	vars, err := render.DefaultVars().With(over, set.Declared)
	if err != nil {
		return nil, nil, usage(err)
	}
	return set, vars, nil
}

func (v *varFlags) override(over render.Vars) error {
	for _, pair := range v.set {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return usage(fmt.Errorf("flag --set: got %q, expected name=value", pair))
		}
		one := map[string]any{}
		if err := strict.Decode("flag --set", 1, []byte(name+": "+value), &one); err != nil {
			return usage(err)
		}
		maps.Copy(over, one)
	}
	if v.heartbeat != "" {
		over["heartbeat"] = v.heartbeat
	}
	return nil
}

// templateError marks an error of loading a set that is no *render.Error.
func templateError(err error) error {
	var failed *render.Error
	if errors.As(err, &failed) {
		return err
	}
	return coded{exitTemplate, err}
}

// readState reads the state file; - is standard input.
func (p *program) readState(path string) (*state.State, error) {
	data, err := p.readStateFile(path)
	if err != nil {
		return nil, err
	}
	return decodeState(path, data)
}

func (p *program) readStateFile(path string) ([]byte, error) {
	data, err := p.readFile(path)
	if err != nil {
		return nil, coded{exitState, fmt.Errorf("read state: %w", err)}
	}
	return data, nil
}

func decodeState(path string, data []byte) (*state.State, error) {
	name := path
	if path == "-" {
		name = "standard input"
	}
	st, err := state.Decode(name, data)
	if err != nil {
		return nil, coded{exitState, err}
	}
	return st, nil
}

func (p *program) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(p.stdin)
	}
	return os.ReadFile(path)
}

// warnLeftOut tells of ServicePorts that have no rules because of a template.
func (p *program) warnLeftOut(result *render.Result) {
	for _, left := range result.LeftOut {
		fmt.Fprintf(p.stderr, "weft: warning: left to kube-proxy: %v\n", left.Err)
	}
}
