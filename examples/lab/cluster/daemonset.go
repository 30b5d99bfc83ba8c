package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"weft/examples/lab"
)

// Pod is a pod of a DaemonSet that runs on a node.
type Pod struct {
	// Containers run, by name.
	Containers map[string]*Process

	cluster  *Cluster
	node     *lab.Node
	programs map[string]string
	spec     *corev1.PodSpec
	volumes  *volumes
}

// RunDaemonSet runs the pod of a DaemonSet on a node, as the API server has it:
// it stands in for the kubelet and the container runtime. Each container gets a
// root of its own that holds the programs of the machine and the volumes that
// the pod asks for, with the user, the capabilities, the read-only root and the
// environment that it asks for. What a hostPath names is a folder of the
// cluster's, which outlives the pod.
//
// It has no images: a container runs the program given for its image. It filters
// no system calls and limits no memory.
func (c *Cluster) RunDaemonSet(ctx context.Context, node *lab.Node, namespace, name string, programs map[string]string) (*Pod, error) {
	out, err := c.Kubectl(ctx, nil, "get", "daemonset", name, "--namespace", namespace, "--output=json")
	if err != nil {
		return nil, err
	}
	var set appsv1.DaemonSet
	if err := json.Unmarshal([]byte(out), &set); err != nil {
		return nil, fmt.Errorf("read daemonset %s: %w", name, err)
	}
	p := &Pod{Containers: map[string]*Process{}, cluster: c, node: node, programs: programs, spec: &set.Spec.Template.Spec}
	if !p.spec.HostNetwork {
		return nil, fmt.Errorf("daemonset %s: only pods with host network can be run", name)
	}
	if p.volumes, err = c.newVolumes(ctx, node, namespace, p.spec); err != nil {
		return nil, err
	}
	for i := range p.spec.Containers {
		if err := p.start(&p.spec.Containers[i]); err != nil {
			p.Stop()
			return nil, err
		}
	}
	return p, nil
}

// Restart starts a container that has ended again, in the same pod.
func (p *Pod) Restart(name string) error {
	for i := range p.spec.Containers {
		if p.spec.Containers[i].Name == name {
			return p.start(&p.spec.Containers[i])
		}
	}
	return fmt.Errorf("the pod has no container %s", name)
}

func (p *Pod) start(container *corev1.Container) error {
	program, ok := p.programs[container.Image]
	if !ok {
		return fmt.Errorf("container %s: no program for image %q", container.Name, container.Image)
	}
	script, err := p.script(container, program)
	if err != nil {
		return fmt.Errorf("container %s: %w", container.Name, err)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-euc", script)
	if cmd.Env, err = p.environment(container); err != nil {
		return fmt.Errorf("container %s: %w", container.Name, err)
	}
	p.Containers[container.Name], err = p.cluster.Launch(p.node.Namespace, container.Name+"-"+p.node.Host.Host, cmd)
	return err
}

// environment is what a kubelet gives: nothing of the machine's.
func (p *Pod) environment(container *corev1.Container) ([]string, error) {
	env := []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + p.node.Host.Host,
		"KUBERNETES_SERVICE_HOST=" + ServiceCIDRs[0].Addr().Next().String(), "KUBERNETES_SERVICE_PORT=443",
	}
	for _, v := range container.Env {
		value := v.Value
		if v.ValueFrom != nil {
			field := v.ValueFrom.FieldRef
			if field == nil {
				return nil, fmt.Errorf("variable %s: only fields of the pod can be read", v.Name)
			}
			switch field.FieldPath {
			case "spec.nodeName":
				value = p.node.Host.Host
			case "status.hostIP", "status.podIP":
				value = p.node.IPv4.String()
			default:
				return nil, fmt.Errorf("variable %s: no field %s", v.Name, field.FieldPath)
			}
		}
		env = append(env, v.Name+"="+value)
	}
	return env, nil
}

// Sync brings ConfigMaps that changed to the running containers, as a kubelet
// does once a minute.
func (p *Pod) Sync(ctx context.Context) error { return p.volumes.sync(ctx) }

// AwaitReady asks the readiness probes until they are content.
func (p *Pod) AwaitReady(ctx context.Context) error {
	for _, container := range p.spec.Containers {
		err := p.Containers[container.Name].await("ready", readyWithin, func() error {
			return p.Probe(ctx, container.ReadinessProbe)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Probe asks a probe once.
func (p *Pod) Probe(ctx context.Context, probe *corev1.Probe) error {
	if probe == nil || probe.HTTPGet == nil {
		return errors.New("the container has no HTTP probe")
	}
	host := probe.HTTPGet.Host
	if host == "" {
		host = p.node.IPv4.String()
	}
	url := fmt.Sprintf("http://%s:%d%s", host, probe.HTTPGet.Port.IntValue(), probe.HTTPGet.Path)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(1, probe.TimeoutSeconds))*time.Second)
	defer cancel()
	_, err := get(ctx, clientFrom(p.node.Namespace, nil), url)
	return err
}

// Stop ends the containers, as a kubelet does.
func (p *Pod) Stop() {
	for _, container := range p.Containers {
		container.Stop()
	}
}
