package cluster

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Use is a right that somebody used, or would have needed.
type Use struct {
	Verb, Group, Resource string
	// Namespace is empty for what is asked of all namespaces.
	Namespace string
	// Denied tells that the user did not have it.
	Denied bool
}

// Used lists what a ServiceAccount asked of the API server, sorted, each once.
// Paths that are no resource, such as /version, are left out: the role
// system:discovery allows them to everybody.
func (c *Cluster) Used(namespace, serviceAccount string) ([]Use, error) {
	log, err := os.Open(c.path("audit.log"))
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer log.Close()
	user := "system:serviceaccount:" + namespace + ":" + serviceAccount
	found := map[Use]bool{}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		use, name, err := readUse(lines.Bytes())
		if err != nil {
			return nil, err
		}
		if name == user && use.Resource != "" {
			found[use] = true
		}
	}
	var uses []Use
	for use := range found {
		uses = append(uses, use)
	}
	slices.SortFunc(uses, func(a, b Use) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource),
			cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Namespace, b.Namespace))
	})
	return uses, lines.Err()
}

// readUse reads a line of the audit log: an event of audit.k8s.io/v1.
func readUse(line []byte) (Use, string, error) {
	var event struct {
		Verb      string
		User      struct{ Username string }
		ObjectRef struct{ APIGroup, Resource, Subresource, Namespace string }

		Annotations map[string]string
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return Use{}, "", fmt.Errorf("read the audit log: %w", err)
	}
	ref := event.ObjectRef
	if ref.Subresource != "" {
		ref.Resource += "/" + ref.Subresource
	}
	return Use{
		Verb: event.Verb, Group: ref.APIGroup, Resource: ref.Resource, Namespace: ref.Namespace,
		Denied: event.Annotations["authorization.k8s.io/decision"] == "forbid",
	}, event.User.Username, nil
}
