package strict

import (
	"bytes"
	"fmt"

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
	node := yaml.Node{Kind: yaml.ScalarNode, Value: s}
	node.SetString(s)
	node.Style &^= yaml.LiteralStyle
	if bytes.ContainsAny([]byte(s), "\n\r") {
		node.Style = yaml.DoubleQuotedStyle
	}
	out, err := yaml.Marshal(&node)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return string(bytes.TrimSuffix(out, []byte("\n")))
}
