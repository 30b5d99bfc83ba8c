package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"weft/cmd/weft/config"
	"weft/cmd/weft/manifest"
	"weft/render"
	"weft/state/strict"
	"weft/templates"
)

func (p *program) manifestCommand() *cobra.Command {
	var o manifest.Options
	cmd := &cobra.Command{
		Use:   "manifest",
		Short: "Print the Kubernetes objects that run weft with this configuration",
		Long: `Print what brings weft to each node of a cluster: namespace, ServiceAccount,
rights, configuration and DaemonSet, as examples/kubernetes has them, with the
effective configuration and what follows from it: the rights that it uses, the
port of the health checks, the files of a template set of your own.

    weft manifest --config weft.yaml | kubectl apply --server-side -f -`,
		Args: nothingElse,
		RunE: func(*cobra.Command, []string) error {
			in, err := p.inputs(&varFlags{})
			if err != nil {
				return err
			}
			if err := complete(&o, in.config); err != nil {
				return usage(err)
			}
			objects, err := manifest.Objects(o)
			if err != nil {
				return err
			}
			return manifest.Write(p.stdout, objects)
		},
	}
	cmd.Flags().StringVar(&o.Image, "image", "", "container image, with its tag")
	cmd.Flags().BoolVar(&o.Split, "split", false, "watch and apply in two containers: one with the token, one with NET_ADMIN")
	return cmd
}

// complete takes from the configuration what the objects depend on.
func complete(o *manifest.Options, c *config.Config) (err error) {
	for _, path := range []string{c.State, c.History, c.Socket, c.Lock} {
		if path != "" && !strings.HasPrefix(path, runFolder) {
			return fmt.Errorf("%s: the pods keep state, history, socket and lock under %s alone", path, runFolder)
		}
	}
	o.Namespaces, o.Events = c.Namespaces, c.Events
	if c.Listen != "" {
		if o.Listen, err = netip.ParseAddrPort(unspecified(c.Listen)); err != nil {
			return fmt.Errorf("listen: got %q, expected an IP address and a port: a kubelet asks there", c.Listen)
		}
	}
	if !shipped(c.Templates) {
		if o.Templates, err = templateFiles(c.Templates); err != nil {
			return err
		}
	}
	o.Config, err = inCluster(c)
	return err
}

// runFolder is what the DaemonSet has of the node's files.
const runFolder = "/run/weft/"

// unspecified gives :10289 an address.
func unspecified(listen string) string {
	if strings.HasPrefix(listen, ":") {
		return "0.0.0.0" + listen
	}
	return listen
}

func shipped(set string) bool { return set == render.Auto || slices.Contains(templates.Names(), set) }

// templateFiles are the files of a set, which has no folders.
func templateFiles(folder string) (map[string]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read template set: %w", err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".nft.tmpl") && e.Name() != "vars.yaml" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read template set: %w", err)
		}
		files[e.Name()] = string(text)
	}
	return files, nil
}

// inCluster is the configuration file of the pods: what differs from the
// defaults, without what belongs to this machine.
func inCluster(c *config.Config) (string, error) {
	usual, err := config.Load("", func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		return "", err
	}
	local := []string{"node", "kubeconfig", "context"}
	values := map[string]any{"source": "kubernetes"}
	for _, k := range config.Keys() {
		if !slices.Contains(local, k.Name) && !reflect.DeepEqual(c.Value(k), usual.Value(k)) {
			values[k.Name] = c.Value(k)
		}
	}
	if !shipped(c.Templates) {
		values["templates"] = manifest.TemplatesPath
	}
	text, err := strict.Marshal(values)
	return string(text), err
}
