// Package kubernetes has the manifests that are beside it, for `weft manifest`,
// which prints them for a configuration.
package kubernetes

import (
	_ "embed"
)

// The documents of the base, in the order of its kustomization.
var (
	//go:embed base/namespace.yaml
	Namespace []byte
	// Access is the ServiceAccount, its ClusterRole and what binds the two.
	//go:embed base/access.yaml
	Access []byte
	// Config is the ConfigMap with the configuration.
	//go:embed base/config.yaml
	Config []byte
	//go:embed base/daemonset.yaml
	DaemonSet []byte
)

// Split is the patch of the DaemonSet that makes two containers of the one.
//
//go:embed overlays/split/daemonset.yaml
var Split []byte
