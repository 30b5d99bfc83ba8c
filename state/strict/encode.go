package strict

import (
	"bytes"
	"fmt"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Marshal writes a value as a YAML document in block style, indented by two.
func Marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T as YAML: %w", v, err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode %T as YAML: %w", v, err)
	}
	return out.Bytes(), nil
}

// ScalarText is a string as a YAML scalar on one line, quoted only where YAML
// would otherwise read something else.
func ScalarText(s string) string {
	// yaml.v3 writes some strings so that they come back as something else, as
	// the merge key <<, and long ones on several lines.
	if text, err := yaml.Marshal(s); err == nil && isScalarText(text, s) {
		return string(bytes.TrimSuffix(text, []byte("\n")))
	}
	text, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle})
	if err != nil {
		return strconv.Quote(s)
	}
	return string(bytes.TrimSuffix(text, []byte("\n")))
}

func isScalarText(text []byte, s string) bool {
	root, _, err := parse(append([]byte("k: "), text...))
	_, n := findIn(root, "k")
	return err == nil && n != nil && n.Tag == "!!str" && n.Value == s && bytes.Count(text, []byte("\n")) == 1
}
