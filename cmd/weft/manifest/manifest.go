// Package manifest makes the Kubernetes objects that run weft with a
// configuration. It begins with the manifests of examples/kubernetes, which are
// written to be read, and changes what the configuration asks for: so the default
// configuration gives exactly these, and a test compares the two.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	manifests "weft/examples/kubernetes"
)

// Options are what a configuration means for the objects.
type Options struct {
	// Config is the text of the configuration file.
	Config string
	// Image is the container image; empty is that of the base.
	Image string
	// Split asks for a watcher and an applier in two containers.
	Split bool
	// Namespaces are those whose Services are watched; none is all.
	Namespaces []string
	// Events says whether Events are written.
	Events bool
	// Listen is where health checks are answered; the zero value is nowhere. An
	// unspecified address includes the loopback.
	Listen netip.AddrPort
	// Templates are the files of a template set of the user's, by name; nil is
	// none. The configuration has them at [TemplatesPath].
	Templates map[string]string
}

// TemplatesPath is where the containers have the templates of the user's.
const TemplatesPath = "/etc/weft/templates"

// Objects gives the objects, in an order in which they can be applied.
func Objects(o Options) ([]any, error) {
	namespace, err := documents(manifests.Namespace)
	if err != nil {
		return nil, err
	}
	access, err := accessObjects(o)
	if err != nil {
		return nil, err
	}
	config, err := configObjects(o)
	if err != nil {
		return nil, err
	}
	set, err := daemonSet(o)
	if err != nil {
		return nil, err
	}
	return slices.Concat(namespace, access, config, []any{set}), nil
}

// Write writes objects as a YAML stream.
func Write(w io.Writer, objects []any) error {
	for i, object := range objects {
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		text, err := encode(object)
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// encode leaves out what only a server fills in, and Go's types always write.
func encode(object any) ([]byte, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, err
	}
	delete(plain, "status")
	return yaml.Marshal(plain)
}

// documents reads a YAML stream.
func documents(text []byte) ([]any, error) {
	var all []any
	reader := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	defer reader.Close()
	for {
		buffer := make([]byte, len(text))
		n, err := reader.Read(buffer)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		var document map[string]any
		if err := yaml.Unmarshal(buffer[:n], &document); err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		if document != nil {
			all = append(all, document)
		}
	}
}

func configObjects(o Options) ([]any, error) {
	var config corev1.ConfigMap
	if err := yaml.UnmarshalStrict(manifests.Config, &config); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	config.Data["weft.yaml"] = o.Config
	if o.Templates == nil {
		return []any{config}, nil
	}
	templates := *config.DeepCopy()
	templates.Name, templates.Data = "weft-templates", maps.Clone(o.Templates)
	return []any{config, templates}, nil
}
