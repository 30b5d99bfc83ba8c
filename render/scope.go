package render

import (
	"slices"
	"text/template/parse"
)

// body is what is known of the body of a range.
type body struct {
	// free are the variables that it reads and does not declare, each once.
	free []string
	// indexed says that it reads the number of its item.
	indexed bool
	// assigns says that it changes a variable from outside.
	assigns bool
	// breaks and continues are about this range, not one inside.
	breaks, continues bool

	bound     []string
	index     string   // the range's own variable for the number
	calls     []string // the templates that it names
	functions []string // those that it calls
}

func bodyOf(n *parse.RangeNode) body {
	b := body{assigns: n.Pipe.IsAssign, bound: names(n.Pipe.Decl)}
	if len(n.Pipe.Decl) == 2 {
		b.index = n.Pipe.Decl[0].Ident[0]
	}
	b.list(n.List, false)
	return b
}

// calls are the templates that a list names.
func calls(l *parse.ListNode) []string {
	var b body
	b.list(l, false)
	return b.calls
}

// functions are those that a list calls.
func functions(l *parse.ListNode) []string {
	var b body
	b.list(l, false)
	return b.functions
}

func names(decl []*parse.VariableNode) (list []string) {
	for _, v := range decl {
		list = append(list, v.Ident[0])
	}
	return list
}

// list goes through nodes. The variables that they declare stay bound until the
// caller ends their scope. inner says that a break in it ends another range.
func (b *body) list(l *parse.ListNode, inner bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			b.pipe(n.Pipe)
		case *parse.TemplateNode:
			b.calls = append(b.calls, n.Name)
			b.pipe(n.Pipe)
		case *parse.IfNode:
			b.branch(&n.BranchNode, inner, inner)
		case *parse.WithNode:
			b.branch(&n.BranchNode, inner, inner)
		case *parse.RangeNode:
			b.branch(&n.BranchNode, true, inner)
		case *parse.BreakNode:
			b.breaks = b.breaks || !inner
		case *parse.ContinueNode:
			b.continues = b.continues || !inner
		}
	}
}

func (b *body) branch(n *parse.BranchNode, inList, inElse bool) {
	outside := len(b.bound)
	b.pipe(n.Pipe)
	inside := len(b.bound)
	b.list(n.List, inList)
	b.bound = b.bound[:inside]
	b.list(n.ElseList, inElse)
	b.bound = b.bound[:outside]
}

func (b *body) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			b.argument(arg)
		}
	}
	for _, name := range names(p.Decl) {
		if !p.IsAssign {
			b.bound = append(b.bound, name)
		} else if !slices.Contains(b.bound, name) {
			b.assigns = true
		}
	}
}

func (b *body) argument(n parse.Node) {
	switch n := n.(type) {
	case *parse.IdentifierNode:
		b.functions = append(b.functions, n.Ident)
	case *parse.VariableNode:
		b.variable(n.Ident[0])
	case *parse.PipeNode:
		b.pipe(n)
	case *parse.ChainNode:
		b.argument(n.Node)
	}
}

func (b *body) variable(name string) {
	// Another variable of the name may hide the index: then it counts all the same.
	b.indexed = b.indexed || name == b.index
	if !slices.Contains(b.bound, name) && !slices.Contains(b.free, name) {
		b.free = append(b.free, name)
	}
}

// rename gives a variable that a list does not declare another name.
func rename(l *parse.ListNode, from, to string) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			renameIn(n.Pipe, from, to)
		case *parse.TemplateNode:
			renameIn(n.Pipe, from, to)
		case *parse.IfNode:
			renameBranch(&n.BranchNode, from, to)
		case *parse.WithNode:
			renameBranch(&n.BranchNode, from, to)
		case *parse.RangeNode:
			renameBranch(&n.BranchNode, from, to)
		}
	}
}

func renameBranch(n *parse.BranchNode, from, to string) {
	renameIn(n.Pipe, from, to)
	rename(n.List, from, to)
	rename(n.ElseList, from, to)
}

func renameIn(p *parse.PipeNode, from, to string) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			renameArgument(arg, from, to)
		}
	}
}

func renameArgument(n parse.Node, from, to string) {
	switch n := n.(type) {
	case *parse.VariableNode:
		if n.Ident[0] == from {
			n.Ident[0] = to
		}
	case *parse.PipeNode:
		renameIn(n, from, to)
	case *parse.ChainNode:
		renameArgument(n.Node, from, to)
	}
}
