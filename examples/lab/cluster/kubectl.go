package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/template"
)

// KubectlPath is where kubectl is.
func (c *Cluster) KubectlPath() string { return c.programs.Kubectl }

// Kubectl runs kubectl with all rights and returns what it says. The error of
// one that fails holds what it said on standard error.
func (c *Cluster) Kubectl(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.programs.Kubectl, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir, "KUBECONFIG=" + c.path(Admin.Name+".kubeconfig")}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := c.Control.Do(cmd.Run); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Apply brings objects in YAML to the API server.
func (c *Cluster) Apply(ctx context.Context, yaml string) error {
	_, err := c.Kubectl(ctx, strings.NewReader(yaml), "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// nodesTemplate are the Node objects, as a kubelet registers them.
var nodesTemplate = template.Must(template.New("nodes").Parse(`{{ range . -}}
---
apiVersion: v1
kind: Node
metadata:
  name: {{ .Host.Host }}
  labels: {kubernetes.io/hostname: {{ .Host.Host }}, kubernetes.io/os: linux}
status:
  addresses:
  - {type: InternalIP, address: {{ .IPv4 }}}
  - {type: InternalIP, address: "{{ .IPv6 }}"}
  - {type: Hostname, address: {{ .Host.Host }}}
  conditions:
  - {type: Ready, status: "True", reason: Lab, message: made by the lab}
{{ end }}`))

func (c *Cluster) createNodes(ctx context.Context) error {
	var text bytes.Buffer
	if err := nodesTemplate.Execute(&text, c.Nodes); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, &text, "create", "-f", "-")
	return err
}

// Reset brings the cluster back to how [Start] left it, as far as Services,
// EndpointSlices, Nodes and the API server go. Namespaces stay, since nobody is
// there to end them.
func (c *Cluster) Reset(ctx context.Context) error {
	select {
	case <-c.apiServer.Ended():
		if err := c.StartAPIServer(ctx); err != nil {
			return err
		}
	default:
	}
	_, err := c.Kubectl(ctx, nil, "delete", "services,endpointslices", "--all-namespaces",
		"--field-selector=metadata.name!=kubernetes", "--ignore-not-found")
	if err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, nil, "delete", "nodes", "--all"); err != nil {
		return err
	}
	return c.createNodes(ctx)
}

// Token makes a token for a ServiceAccount that exists.
func (c *Cluster) Token(ctx context.Context, namespace, name string) (string, error) {
	out, err := c.Kubectl(ctx, nil, "create", "token", name, "--namespace", namespace, "--duration=6h")
	return strings.TrimSpace(out), err
}

// Kubeconfig writes a kubeconfig with a token and returns its path.
func (c *Cluster) Kubeconfig(name, token string) (string, error) {
	return c.keys.writeKubeconfig(name, c.Server(), map[string]any{"token": token})
}

// CA is the file with the certificate of the cluster's authority.
func (c *Cluster) CA() string { return c.keys.path("ca.crt") }
