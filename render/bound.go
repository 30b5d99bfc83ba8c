package render

import (
	"slices"
	"text/template/parse"
)

// tickFunc is called in each round of each range, so that a loop that writes
// nothing ends with the time of the rendering too.
const tickFunc = "_weft_tick"

// bound puts a call of [tickFunc] at the beginning of every range that does not
// surely write in each round: for those that do, the writer looks at the time.
func bound(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			bound(n.List)
			bound(n.ElseList)
		case *parse.WithNode:
			bound(n.List)
			bound(n.ElseList)
		case *parse.RangeNode:
			bound(n.List)
			bound(n.ElseList)
			if !slices.ContainsFunc(n.List.Nodes, writes) {
				n.List.Nodes = append([]parse.Node{tick()}, n.List.Nodes...)
			}
		}
	}
}

func writes(n parse.Node) bool {
	text, ok := n.(*parse.TextNode)
	return ok && len(text.Text) > 0
}

// tick is parsed, since the nodes of a tree cannot be made by hand.
func tick() parse.Node {
	trees, err := parse.Parse("tick", "{{"+tickFunc+"}}", "", "", map[string]any{tickFunc: 0})
	if err != nil {
		return &parse.TextNode{NodeType: parse.NodeText} // the text is constant: it parses
	}
	return trees["tick"].Root.Nodes[0]
}
