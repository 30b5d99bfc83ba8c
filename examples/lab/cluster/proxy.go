package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"weft/examples/lab"
)

// ProxyMode is how kube-proxy writes its rules.
type ProxyMode string

// The modes that weft works beside.
const (
	NFTables ProxyMode = "nftables"
	IPTables ProxyMode = "iptables"
)

// ProxyOptions are what a test may want to have otherwise of a kube-proxy.
type ProxyOptions struct {
	Mode ProxyMode
	// SyncPeriod is how soon it tries again after a failure, and looks whether
	// its iptables rules are still there; 0 is its default, 30 s.
	SyncPeriod time.Duration
}

// Where kube-proxy tells how it is, on the loopback of its node.
const (
	proxyHealth  = "127.0.0.1:10256"
	proxyMetrics = "127.0.0.1:10249"
)

// ProxyGroup is the group that kube-proxy runs in, so that a rule can tell its
// packets from others.
const ProxyGroup = 10256

// synced is in kube-proxy's metrics with a value once it has written its rules, once for
// each address family: it writes those of either by themselves.
var synced = regexp.MustCompile(`(?m)^kubeproxy_sync_proxy_rules_last_timestamp_seconds\{ip_family="IPv[46]"\} [1-9]`)

// StartKubeProxy runs kube-proxy on a node, as a DaemonSet with host network
// does, and waits until it has written its rules.
func (c *Cluster) StartKubeProxy(ctx context.Context, node *lab.Node, opts ProxyOptions) (*Process, error) {
	config, err := c.proxyConfig(node, opts)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.programs.KubeProxy, "--config="+config)
	// Debian has the iptables programs where only root's PATH leads.
	cmd.Env = []string{"PATH=/usr/sbin:/sbin:" + os.Getenv("PATH"), "HOME=" + c.Dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Gid: ProxyGroup}}
	p, err := c.Launch(node.Namespace, "kube-proxy-"+node.Host.Host, cmd)
	if err != nil {
		return nil, err
	}
	client := clientFrom(node.Namespace, nil)
	err = p.await("in sync", readyWithin, func() error {
		text, err := get(ctx, client, "http://"+proxyMetrics+"/metrics")
		if n := len(synced.FindAllString(text, -1)); err == nil && n < 2 {
			err = fmt.Errorf("rules of %d address families written", n)
		}
		return err
	})
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// proxyConfig leaves at its default what nobody asks for, but what a namespace
// forbids: conntrack's limits belong to the machine.
func (c *Cluster) proxyConfig(node *lab.Node, opts ProxyOptions) (string, error) {
	kubeconfig, err := c.keys.kubeconfig(c.Server(), KubeProxy)
	if err != nil {
		return "", err
	}
	sync := map[string]any{"syncPeriod": opts.SyncPeriod.String()}
	text, err := json.MarshalIndent(map[string]any{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"mode":               opts.Mode,
		"hostnameOverride":   node.Host.Host,
		"clientConnection":   map[string]any{"kubeconfig": kubeconfig},
		"clusterCIDR":        "10.42.0.0/16,fd42::/16",
		"healthzBindAddress": proxyHealth,
		"metricsBindAddress": proxyMetrics,
		"nftables":           sync,
		"iptables":           sync,
		"conntrack": map[string]any{
			"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
			"udpTimeout": "0s", "udpStreamTimeout": "0s",
		},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, "kube-proxy-"+node.Host.Host+".json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return "", fmt.Errorf("write kube-proxy's configuration: %w", err)
	}
	return path, nil
}
