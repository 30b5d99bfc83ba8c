package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"weft/render"
	"weft/state"
)

// versionInfo is what `weft version` tells.
type versionInfo struct {
	Version  string `json:"version" yaml:"version"`
	Revision string `json:"revision" yaml:"revision"`
	Go       string `json:"go" yaml:"go"`
	Platform string `json:"platform" yaml:"platform"`
	// State is the apiVersion of state files, and Contract that with templates.
	State    string `json:"state" yaml:"state"`
	Contract int    `json:"contract" yaml:"contract"`
}

func (p *program) versionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "version", Short: "Print weft's version", Args: nothingElse,
		RunE: func(*cobra.Command, []string) error {
			v := readVersion()
			if output != "text" {
				return p.print(output, v)
			}
			_, err := fmt.Fprintf(p.stdout, "weft %s (revision %s) %s %s, state %s, templates %d\n", v.Version, v.Revision, v.Go, v.Platform, v.State, v.Contract)
			return err
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// readVersion is what the build left in the binary. A build without version
// control, as -buildvcs=false makes it, says so.
func readVersion() versionInfo {
	v := versionInfo{Version: "(devel)", Revision: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, State: state.APIVersion, Contract: render.Contract}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}
