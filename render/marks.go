package render

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"weft/state"
)

// The functions that instrumented trees call.
const (
	markFunc   = "_weft_mark"
	callFunc   = "_weft_call"
	returnFunc = "_weft_return"
)

// sentinel encloses the number of a mark in the output. No output without marks
// holds it: a NUL is an error.
const sentinel = "\x00"

// marks follows an instrumented execution: where in the templates it is, and
// which record it has in hand.
type marks struct {
	places []Place // of each instrumented node, by its number
	seen   []seen  // each mark that was left, in order
	stack  []int   // of seen: the calls that have not returned
	now    int     // of seen: the last mark
}

// seen is one mark in the output.
type seen struct {
	place  Place
	calls  []Place
	record *state.ServicePort
}

// mark notes that the node with the number id is about to be executed.
func (m *marks) mark(id int, dot any) string {
	record, known := recordOf(dot)
	if !known && len(m.seen) > 0 {
		record = m.seen[m.now].record
	}
	m.seen = append(m.seen, seen{m.places[id], m.calls(), record})
	m.now = len(m.seen) - 1
	return sentinel + strconv.Itoa(m.now) + sentinel
}

func (m *marks) enter() string {
	m.stack = append(m.stack, m.now)
	return ""
}

func (m *marks) leave() string {
	m.now = m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return sentinel + strconv.Itoa(m.now) + sentinel
}

func (m *marks) calls() []Place {
	calls := make([]Place, len(m.stack))
	for i, at := range m.stack {
		calls[i] = m.seen[at].place
	}
	return calls
}

// current is where the execution stands.
func (m *marks) current() Origin {
	if len(m.seen) == 0 {
		return Origin{}
	}
	return m.seen[m.now].origin(0)
}

// origin is the place of the mark, so many lines further down: a text node may
// have several.
func (s seen) origin(down int) Origin {
	return Origin{File: s.place.File, Line: s.place.Line + down, Calls: s.calls, ServicePort: s.record}
}

// strip takes the marks out of the output and gives each line its origin.
func (m *marks) strip(marked string) (string, []Origin) {
	var plain strings.Builder
	type change struct{ offset, mark int }
	var changes []change
	for i, part := range strings.Split(marked, sentinel) {
		if i%2 == 0 {
			plain.WriteString(part)
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n >= len(m.seen) {
			return "", nil
		}
		changes = append(changes, change{plain.Len(), n})
	}
	text := plain.String()
	return text, numberLines(text, func(offset int) Origin {
		i := sort.Search(len(changes), func(i int) bool { return changes[i].offset > offset }) - 1
		if i < 0 {
			return Origin{}
		}
		down := strings.Count(text[changes[i].offset:offset], "\n")
		return m.seen[changes[i].mark].origin(down)
	})
}

// instrument puts a mark before each node of each template.
func (m *marks) instrument(root *template.Template) error {
	for _, t := range root.Templates() {
		if t.Tree == nil || isReserved(t.Name()) {
			continue
		}
		tree := t.Tree.Copy()
		in := instrumenter{marks: m, tree: tree, source: t.Tree}
		if err := in.list(tree.Root); err != nil {
			return err
		}
		if _, err := root.AddParseTree(t.Name(), tree); err != nil {
			return fmt.Errorf("instrument template: %w", err)
		}
	}
	return nil
}

type instrumenter struct {
	marks        *marks
	tree, source *parse.Tree
}

func (in instrumenter) list(l *parse.ListNode) error {
	if l == nil {
		return nil
	}
	var nodes []parse.Node
	for _, n := range l.Nodes {
		mark, err := in.action(fmt.Sprintf("{{%s %d .}}", markFunc, len(in.marks.places)))
		if err != nil {
			return err
		}
		in.marks.places = append(in.marks.places, placeOf(in.source, n))
		nodes = append(nodes, mark)
		if _, ok := n.(*parse.TemplateNode); ok {
			n, err = in.call(n)
		}
		if err == nil {
			err = in.inside(n)
		}
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	l.Nodes = nodes
	return nil
}

// inside instruments the lists that a node holds.
func (in instrumenter) inside(n parse.Node) error {
	var branch *parse.BranchNode
	switch n := n.(type) {
	case *parse.IfNode:
		branch = &n.BranchNode
	case *parse.RangeNode:
		branch = &n.BranchNode
	case *parse.WithNode:
		branch = &n.BranchNode
	default:
		return nil
	}
	if err := in.list(branch.List); err != nil {
		return err
	}
	return in.list(branch.ElseList)
}

// call encloses a {{template}} in a list that notes the call and the return.
func (in instrumenter) call(n parse.Node) (parse.Node, error) {
	before, err := in.action("{{" + callFunc + "}}")
	if err != nil {
		return nil, err
	}
	after, err := in.action("{{" + returnFunc + "}}")
	if err != nil {
		return nil, err
	}
	return &parse.ListNode{NodeType: parse.NodeList, Pos: n.Position(), Nodes: []parse.Node{before, n, after}}, nil
}

// action parses one action: the nodes of a tree cannot be made by hand.
func (in instrumenter) action(text string) (parse.Node, error) {
	trees, err := parse.Parse(in.tree.ParseName, text, "", "", map[string]any{markFunc: 0, callFunc: 0, returnFunc: 0})
	if err != nil {
		return nil, fmt.Errorf("instrument template: %w", err)
	}
	return trees[in.tree.ParseName].Root.Nodes[0], nil
}

// placeOf is the line that a node begins on: for a text, that of its first word,
// since a text often begins with the end of the line before.
func placeOf(tree *parse.Tree, n parse.Node) Place {
	location, _ := tree.ErrorContext(n)
	parts := strings.Split(location, ":")
	line := 0
	if len(parts) >= 3 {
		line, _ = strconv.Atoi(parts[len(parts)-2])
	}
	return Place{File: tree.ParseName, Line: line}
}
