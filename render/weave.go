package render

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// A set is parsed into two forms. The plain one is what its files say. The woven
// one, which a [Renderer] executes, gives the same bytes, but asks at each range
// whether the text of its items is known from the last time:
//
//	{{ range $i, $x := LIST }}BODY{{ end }}
//
// becomes
//
//	{{ $_weft_3 := LIST }}{{ if _weft_each 3 $_weft_3 $a $b }}{{ else }}{{ range $i, $x := $_weft_3 }}BODY{{ end }}{{ end }}
//
// where $a and $b are the variables from outside that BODY reads. BODY alone is
// added to the plain form as the template _weft_entry_3, to be executed for the
// items of which the text is not known. And an {{ include "x" . }} that nothing
// is done with writes what it makes straight to where it belongs.

// reserved begins the names of what weft adds to a set.
const reserved = "_weft_"

// The functions that woven templates call.
const (
	eachFunc = reserved + "each"
	intoFunc = reserved + "into"
	bindFunc = reserved + "bind"
	onceFunc = reserved + "once"
)

// site is a range whose items are rendered one by one.
type site struct {
	// name of the template that is its body.
	name string
	// indexed says that the body knows the number of its item.
	indexed bool
	place   Place
}

// weaver makes the woven form of the templates of a set.
type weaver struct {
	plain *template.Template // gets the bodies
	sites []site
	tree  *parse.Tree // in hand
	scope []string    // the variables that are visible
}

// weave adds the bodies to the plain form and returns the woven one.
func weave(plain *template.Template) (*template.Template, []site, error) {
	woven, err := plain.Clone()
	if err != nil {
		return nil, nil, fmt.Errorf("copy template set: %w", err)
	}
	w := &weaver{plain: plain}
	all := woven.Templates()
	slices.SortFunc(all, func(a, b *template.Template) int { return strings.Compare(a.Name(), b.Name()) })
	for _, t := range all {
		if t.Tree == nil {
			continue
		}
		w.tree, w.scope = t.Tree.Copy(), []string{"$"}
		w.list(w.tree.Root)
		if _, err := woven.AddParseTree(t.Name(), w.tree); err != nil {
			return nil, nil, fmt.Errorf("weave template: %w", err)
		}
	}
	return woven, w.sites, nil
}

// list weaves the nodes of a list. The variables that it declares stay visible
// until the caller ends their scope.
func (w *weaver) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	var nodes []parse.Node
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			w.into(n)
			w.declare(n.Pipe)
		case *parse.IfNode:
			w.branch(&n.BranchNode)
		case *parse.WithNode:
			w.branch(&n.BranchNode)
		case *parse.RangeNode:
			nodes = append(nodes, w.ranged(n)...)
			continue
		}
		nodes = append(nodes, n)
	}
	l.Nodes = nodes
}

func (w *weaver) declare(p *parse.PipeNode) {
	if !p.IsAssign {
		w.scope = append(w.scope, names(p.Decl)...)
	}
}

func (w *weaver) branch(b *parse.BranchNode) {
	outside := len(w.scope)
	w.declare(b.Pipe)
	inside := len(w.scope)
	w.list(b.List)
	w.scope = w.scope[:inside]
	w.list(b.ElseList)
	w.scope = w.scope[:outside]
}

// into lets a call of include that is all of an action write by itself.
func (w *weaver) into(n *parse.ActionNode) {
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 3 {
		return
	}
	if name, ok := n.Pipe.Cmds[0].Args[0].(*parse.IdentifierNode); ok && name.Ident == "include" {
		name.Ident = intoFunc
	}
}

// ranged weaves a range, if it can be.
func (w *weaver) ranged(n *parse.RangeNode) []parse.Node {
	body := bodyOf(n)
	if body.assigns || body.breaks || slices.ContainsFunc(body.free, func(v string) bool { return !slices.Contains(w.scope, v) }) {
		w.branch(&n.BranchNode)
		return []parse.Node{n}
	}
	id := len(w.sites)
	w.sites = append(w.sites, site{name: fmt.Sprintf("%sentry_%d", reserved, id), indexed: body.indexed, place: placeOf(w.tree, n)})
	if err := w.entry(id, n, body); err != nil {
		w.sites = w.sites[:id]
		w.branch(&n.BranchNode)
		return []parse.Node{n}
	}
	nodes, err := w.each(id, n, body)
	if err != nil {
		w.branch(&n.BranchNode)
		return []parse.Node{n}
	}
	return nodes
}

// each makes the nodes that stand in the place of a range.
func (w *weaver) each(id int, n *parse.RangeNode, body body) ([]parse.Node, error) {
	list := fmt.Sprintf("$%slist_%d", reserved, id)
	text := fmt.Sprintf("{{%s := 0}}{{if %s %d %s %s}}{{else}}{{range %s%s}}{{end}}{{end}}",
		list, eachFunc, id, list, strings.Join(body.free, " "), declared(n.Pipe.Decl), list)
	nodes, err := parsed(text, body.free)
	if err != nil {
		return nil, err
	}
	assignment, branch := nodes[0].(*parse.ActionNode), nodes[1].(*parse.IfNode)
	again := branch.ElseList.Nodes[0].(*parse.RangeNode)
	assignment.Pipe.Cmds = n.Pipe.Cmds
	again.List, again.ElseList = n.List, n.ElseList
	w.branch(&again.BranchNode)
	return nodes, nil
}

func declared(decl []*parse.VariableNode) string {
	if len(decl) == 0 {
		return ""
	}
	return strings.Join(names(decl), ", ") + " := "
}

// entry adds the body of a range to the plain form as a template that is executed
// with one item.
func (w *weaver) entry(id int, n *parse.RangeNode, body body) error {
	tree := w.tree.Copy()
	list := n.List.CopyList()
	rename(list, "$", "$"+reserved+"root")
	var text strings.Builder
	for i, v := range body.free {
		if v == "$" {
			v = "$" + reserved + "root"
		}
		fmt.Fprintf(&text, "{{%s := %s %d}}", v, bindFunc, i+1)
	}
	switch decl := names(n.Pipe.Decl); len(decl) {
	case 1:
		fmt.Fprintf(&text, "{{%s := .}}", decl[0])
	case 2:
		fmt.Fprintf(&text, "{{%s := %s 0}}{{%s := .}}", decl[0], bindFunc, decl[1])
	}
	if body.continues { // which needs a range to go on with
		fmt.Fprintf(&text, "{{range %s .}}{{end}}", onceFunc)
	}
	nodes, err := parsed(text.String(), nil)
	if err != nil {
		return err
	}
	if body.continues {
		nodes[len(nodes)-1].(*parse.RangeNode).List = list
	} else {
		nodes = append(nodes, list.Nodes...)
	}
	tree.Name = w.sites[id].name
	tree.Root = &parse.ListNode{NodeType: parse.NodeList, Pos: n.Pos, Nodes: nodes}
	_, err = w.plain.AddParseTree(tree.Name, tree)
	return err
}

// parsed gives the nodes of a text that may use the variables in scope: the nodes
// of a tree cannot be made by hand.
func parsed(text string, scope []string) ([]parse.Node, error) {
	if text == "" {
		return nil, nil
	}
	var declare strings.Builder
	n := 0
	for _, v := range scope {
		if v != "$" {
			declare.WriteString("{{" + v + " := 0}}")
			n++
		}
	}
	funcs := map[string]any{eachFunc: 0, intoFunc: 0, bindFunc: 0, onceFunc: 0, tickFunc: 0, markFunc: 0, callFunc: 0, returnFunc: 0}
	trees, err := parse.Parse("woven", declare.String()+text, "", "", funcs)
	if err != nil {
		return nil, fmt.Errorf("weave template: %w", err)
	}
	return trees["woven"].Root.Nodes[n:], nil
}
