package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	manifests "weft/examples/kubernetes"
)

func daemonSet(o Options) (*appsv1.DaemonSet, error) {
	text, err := yaml.YAMLToJSON(manifests.DaemonSet)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if o.Split {
		if text, err = split(text); err != nil {
			return nil, err
		}
	}
	var set appsv1.DaemonSet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	containers := set.Spec.Template.Spec.Containers
	for i := range containers {
		if o.Image != "" {
			containers[i].Image = o.Image
		}
		probe(&containers[i], o.Listen, i)
	}
	return &set, nil
}

func split(set []byte) ([]byte, error) {
	patch, err := yaml.YAMLToJSON(manifests.Split)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	var into, from map[string]any
	if err := errors.Join(json.Unmarshal(set, &into), json.Unmarshal(patch, &from)); err != nil {
		return nil, fmt.Errorf("split the DaemonSet: %w", err)
	}
	return json.Marshal(merge(into, from))
}

// merge does what kubectl does with the patch of an overlay, as far as ours needs it:
// what is in both is merged, what has names by these, and else the patch wins. The
// library for it knows the schema of the API, which would be two megabytes of each agent.
func merge(into, patch any) any {
	switch patch := patch.(type) {
	case map[string]any:
		if fields, ok := into.(map[string]any); ok {
			for name, value := range patch {
				fields[name] = merge(fields[name], value)
			}
			return fields
		}
	case []any:
		if list, ok := into.([]any); ok && areNamed(list) && areNamed(patch) {
			return mergeNamed(list, patch)
		}
	}
	return patch
}

// mergeNamed puts what is new before the rest, in the patch's order.
func mergeNamed(list, patch []any) []any {
	var added []any
	for _, p := range patch {
		at := slices.IndexFunc(list, func(o any) bool { return nameOf(o) == nameOf(p) })
		switch {
		case at < 0:
			added = append(added, p)
		case field(p, "$patch") == "delete":
			list = slices.Delete(list, at, at+1)
		default:
			list[at] = merge(list[at], p)
		}
	}
	return append(added, list...)
}

func areNamed(list []any) bool {
	return !slices.ContainsFunc(list, func(o any) bool { return nameOf(o) == "" })
}

func nameOf(o any) string { return field(o, "name") }

func field(o any, name string) string {
	fields, _ := o.(map[string]any)
	text, _ := fields[name].(string)
	return text
}

// apart is how far the ports of the two containers of a split pod are from each
// other. They have the node's network, so both cannot have the same; the next
// number is what the documentation takes for metrics.
const apart = 2

// probe makes the kubelet ask where the container answers. A container of a
// split pod is told where that is, since the two share a configuration.
func probe(c *corev1.Container, listen netip.AddrPort, index int) {
	if !listen.IsValid() {
		c.LivenessProbe, c.ReadinessProbe = nil, nil
	} else {
		listen = netip.AddrPortFrom(listen.Addr(), listen.Port()+uint16(apart*index))
	}
	host := listen.Addr()
	if host == netip.IPv4Unspecified() || host == netip.IPv6Unspecified() {
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
		if p != nil {
			p.HTTPGet.Host, p.HTTPGet.Port.IntVal = host.String(), int32(listen.Port())
		}
	}
	for i := range c.Env {
		if c.Env[i].Name != "WEFT_LISTEN" {
			continue
		}
		c.Env[i].Value = ""
		if listen.IsValid() {
			c.Env[i].Value = listen.String()
		}
	}
}
