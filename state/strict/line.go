package strict

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Line finds the line of the value at a path such as endpoints[1].share, for a
// problem that was found after decoding. It parses the document again, so that
// documents without problems need not remember where their values stood. Where
// the path leads nowhere it is the line of the nearest value above it.
func Line(doc []byte, firstLine int, path string) int {
	return Parse("", firstLine, doc).Line(path)
}

// Line is the line of the file on which the value at a path stands, or of the
// nearest value above it.
func (doc *Document) Line(path string) int {
	line, _ := findIn(doc.root, path)
	return doc.first + line - 1
}

// Scalar is the text of the scalar at a path.
func (doc *Document) Scalar(path string) (text string, ok bool) {
	_, n := findIn(doc.root, path)
	if n == nil || n.Kind != yaml.ScalarNode {
		return "", false
	}
	return n.Value, true
}

// findIn is find for a document that may be empty.
func findIn(root *yaml.Node, path string) (line int, found *yaml.Node) {
	if root == nil {
		return 1, nil
	}
	return find(root, path)
}

// find follows a path as far as it leads.
func find(n *yaml.Node, path string) (line int, found *yaml.Node) {
	line = n.Line
	for path != "" {
		var step string
		step, path = nextStep(path)
		keyLine, child := child(n, step)
		if child == nil {
			return line, nil
		}
		line, n = keyLine, child
	}
	return line, n
}

// nextStep takes the first name or [index] off a path.
func nextStep(path string) (step, rest string) {
	path = strings.TrimPrefix(path, ".")
	if strings.HasPrefix(path, "[") {
		if end := strings.IndexByte(path, ']'); end > 0 {
			return path[:end+1], path[end+1:]
		}
	}
	if end := strings.IndexAny(path, ".["); end > 0 {
		return path[:end], path[end:]
	}
	return path, ""
}

func child(n *yaml.Node, step string) (line int, found *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i].Line, n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		i, err := strconv.Atoi(strings.Trim(step, "[]"))
		if err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i].Line, n.Content[i]
		}
	}
	return 0, nil
}
