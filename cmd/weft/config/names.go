package config

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Names are names of Kubernetes objects, written with commas between them.
type Names []string

// UnmarshalText reads names; there may be none.
func (n *Names) UnmarshalText(text []byte) error {
	*n = nil
	for name := range strings.SplitSeq(string(text), ",") {
		name = strings.TrimSpace(name)
		if name == "" && len(strings.TrimSpace(string(text))) == 0 {
			return nil
		}
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return fmt.Errorf("%q: %s", name, problems[0])
		}
		*n = append(*n, name)
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (n Names) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

func (n Names) String() string { return strings.Join(n, ",") }

// Expected says in words what UnmarshalText takes.
func (Names) Expected() string { return "names separated by commas, such as shop,bank" }

// Selector is a label selector; its zero value selects everything.
type Selector struct{ labels.Selector }

// UnmarshalText reads the form that kubectl takes.
func (s *Selector) UnmarshalText(text []byte) (err error) {
	s.Selector = nil
	if strings.TrimSpace(string(text)) == "" {
		return nil
	}
	s.Selector, err = labels.Parse(string(text))
	return err
}

// MarshalText writes what UnmarshalText reads.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Selector) String() string {
	if s.Selector == nil {
		return ""
	}
	return s.Selector.String()
}

// Expected says in words what UnmarshalText takes.
func (Selector) Expected() string { return "a label selector such as tier=web,!legacy" }
