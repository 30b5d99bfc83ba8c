package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"weft/examples/lab"
)

// readyWithin is for a machine that does other things, too.
const readyWithin = 2 * time.Minute

// startEtcd runs etcd on the loopback of the control plane's own namespace. It
// does not sync its files: they are gone after the test anyway.
func (c *Cluster) startEtcd(ctx context.Context) error {
	cmd := exec.Command(c.programs.Etcd,
		"--data-dir", c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir}
	p, err := c.Launch(c.Control.Namespace, "etcd", cmd)
	if err != nil {
		return err
	}
	c.etcd = p
	health := clientFrom(c.Control.Namespace, nil)
	return p.await("ready", readyWithin, func() error {
		_, err := get(ctx, health, "http://127.0.0.1:2379/health")
		return err
	})
}

// auditPolicy records what ServiceAccounts ask for.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: None
`

// StartAPIServer starts the API server and waits until it is ready. After
// [Cluster.StopAPIServer] it comes back with what etcd holds.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	if err := os.WriteFile(c.path("audit-policy.yaml"), []byte(auditPolicy), 0o644); err != nil {
		return err
	}
	p, err := c.Launch(c.Control.Namespace, "kube-apiserver", exec.Command(c.programs.APIServer, c.apiServerFlags()...))
	if err != nil {
		return err
	}
	c.apiServer = p
	return p.await("ready", readyWithin, func() error {
		_, err := get(ctx, c.API, c.Server()+"/readyz")
		return err
	})
}

// apiServerFlags has --advertise-address since the namespace has no default
// route, from whose link the API server would take an address otherwise.
func (c *Cluster) apiServerFlags() []string {
	return append([]string{
		"--advertise-address=" + c.Control.IPv4.String(),
		fmt.Sprintf("--secure-port=%d", securePort),
		"--etcd-servers=http://127.0.0.1:2379",
		"--authorization-mode=RBAC",
		"--client-ca-file=" + c.path("ca.crt"),
		"--tls-cert-file=" + c.path("apiserver.crt"),
		"--tls-private-key-file=" + c.path("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.path("serviceaccount.key"),
		"--service-account-signing-key-file=" + c.path("serviceaccount.key"),
		"--service-cluster-ip-range=" + ServiceCIDRs[0].String() + "," + ServiceCIDRs[1].String(),
		"--audit-policy-file=" + c.path("audit-policy.yaml"),
		"--audit-log-path=" + c.path("audit.log"),
		// An API server takes its time to end, so that clients may leave it.
		"--shutdown-delay-duration=0s",
	}, c.opts.APIServerFlags...)
}

// StopAPIServer ends the API server at once, as a crash does.
func (c *Cluster) StopAPIServer() { c.apiServer.Kill() }

// APIServer is the running API server.
func (c *Cluster) APIServer() *Process { return c.apiServer }

// client talks to the API server from the control plane's namespace.
func (c *Cluster) client() (*http.Client, error) {
	config, err := c.keys.tls(Admin.Name)
	if err != nil {
		return nil, err
	}
	return clientFrom(c.Control.Namespace, config), nil
}

// clientFrom is an HTTP client that connects from a namespace.
func clientFrom(ns *lab.Namespace, config *tls.Config) *http.Client {
	dial := func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = ns.Do(func() error {
			var dialer net.Dialer
			conn, err = dialer.DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{DialContext: dial, TLSClientConfig: config, ForceAttemptHTTP2: config != nil, DisableKeepAlives: config == nil},
	}
}

// get wants an answer of 200, and returns its body.
func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %s", response.Status, body))
	}
	return string(body), errors.Join(err, response.Body.Close())
}
