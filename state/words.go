package state

import "strings"

// words are the strings that thousands of endpoints have in common, each once. They
// are also why no ServicePort keeps the text in memory that it was read from.
type words map[string]string

// keep is v, or what v is equal to, in memory of its own.
func (w words) keep(v string) string {
	if word, ok := w[v]; ok {
		return word
	}
	return strings.Clone(v)
}

// renewed are the words of a state with the nodes, in which those come to stand.
func (w words) renewed(nodes []Node) words {
	next := make(words, len(nodes)+8)
	for _, p := range [...]Protocol{TCP, UDP, SCTP} {
		next[string(p)] = string(p)
	}
	for _, p := range Policies() {
		next[string(p)] = string(p)
	}
	for _, h := range holds() {
		next[string(h)] = string(h)
	}
	for i := range nodes {
		name := w.keep(nodes[i].Name)
		nodes[i].Name, next[name] = name, name
	}
	return next
}
