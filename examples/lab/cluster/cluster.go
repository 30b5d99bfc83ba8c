// Package cluster runs a real Kubernetes control plane in front of the machines
// of a lab: etcd and kube-apiserver with RBAC in a namespace of their own, a Node
// object for each node, kube-proxy where it is asked for.
//
// There is no kubelet, no scheduler and no controller manager: pods are the
// lab's, and who wants an EndpointSlice writes it, so that a test decides what
// the cluster says and when. Everything else is real: TLS, tokens of
// ServiceAccounts, authorization, admission, watches, and the audit log that
// tells which rights somebody used.
//
// Everything ends with the process that made it, however it ends: the programs
// ask the kernel to be killed with it, the namespaces have no names. Only the
// folder with the files can be left; the next Start takes it away.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"

	"weft/examples/lab"
	"weft/examples/lab/controlplane"
)

// Options say what cluster to make.
type Options struct {
	// Lab is the size of the lab; see [lab.Options].
	Lab lab.Options
	// Etcd is an etcd program; empty is that of [controlplane.Locate]. Etcd
	// before 3.5 has no watch-list: clients fall back to list and watch.
	Etcd string
	// APIServerFlags go after those that the package gives itself.
	APIServerFlags []string
}

// The address plan: the control plane is the machine 10.34.4.140 of the segment.
const (
	controlHost = 140
	securePort  = 6443
)

// ServiceCIDRs are where ClusterIPs come from.
var ServiceCIDRs = [2]netip.Prefix{netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("fd43::/112")}

// Cluster is a lab with a control plane.
type Cluster struct {
	*lab.Lab
	// Control is the machine with etcd and the API server.
	Control *lab.Host
	// Dir holds keys, kubeconfigs and logs.
	Dir string
	// API is a client of the API server with all rights.
	API *http.Client

	opts      Options
	programs  controlplane.Programs
	keys      *keys
	folder    *folder
	etcd      *Process
	apiServer *Process
	processes []*Process
}

// Start builds a lab and starts its control plane. It returns when the API
// server is ready and has the Node objects. What a Start that fails has made is
// gone when it returns.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c := &Cluster{opts: opts}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.programs, err = controlplane.Locate(); err != nil {
		return err
	}
	if c.opts.Etcd != "" {
		c.programs.Etcd = c.opts.Etcd
	}
	if c.folder, err = newFolder(os.TempDir()); err != nil {
		return err
	}
	c.Dir = c.folder.path
	if c.Lab, err = lab.Build(c.opts.Lab); err != nil {
		return err
	}
	if c.Control, err = c.AddHost("control", controlHost); err != nil {
		return err
	}
	if err := c.routeByDefault(); err != nil {
		return err
	}
	return c.startControlPlane(ctx)
}

// routeByDefault gives each node a default route, as every real one has: without
// it a process of the node could not even begin to ask a ClusterIP. It leads to
// the control plane's machine, which forwards nothing.
func (c *Cluster) routeByDefault() error {
	for _, node := range c.Nodes {
		for _, via := range []netip.Addr{c.Control.IPv4, c.Control.IPv6} {
			if _, err := node.Run("ip", "route", "add", "default", "via", via.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Cluster) startControlPlane(ctx context.Context) error {
	var err error
	if c.keys, err = newKeys(c.Dir, c.Control); err != nil {
		return err
	}
	if _, err := c.keys.kubeconfig(c.Server(), Admin); err != nil {
		return err
	}
	if c.API, err = c.client(); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return err
	}
	return c.createNodes(ctx)
}

// Server is the URL of the API server.
func (c *Cluster) Server() string {
	return fmt.Sprintf("https://%v", netip.AddrPortFrom(c.Control.IPv4, securePort))
}

// Close ends every program that the cluster started, then the lab. Closing twice
// does nothing.
func (c *Cluster) Close() error {
	var errs []error
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Stop()
	}
	c.processes = nil
	if c.API != nil {
		c.API.CloseIdleConnections()
	}
	if c.Lab != nil {
		errs = append(errs, c.Lab.Close())
	}
	if c.folder != nil {
		errs = append(errs, c.folder.remove())
	}
	return errors.Join(errs...)
}

// path is a file of the cluster's folder.
func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}
