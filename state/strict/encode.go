package strict

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

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
	text := scalarText(s, 0)
	// yaml.v3 writes some strings so that they come back as something else, as
	// the merge key <<.
	root, _, err := parse([]byte("k: " + text + "\n"))
	if _, n := findIn(root, "k"); err == nil && n != nil && n.Tag == "!!str" && n.Value == s {
		return text
	}
	return scalarText(s, yaml.DoubleQuotedStyle)
}

func scalarText(s string, style yaml.Style) string {
	if strings.ContainsAny(s, "\n\r") {
		style = yaml.DoubleQuotedStyle
	}
	out, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: style})
	if err != nil {
		return strconv.Quote(s)
	}
	return string(bytes.TrimSuffix(out, []byte("\n")))
}
