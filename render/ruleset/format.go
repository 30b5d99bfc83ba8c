package ruleset

import (
	"strconv"
	"strings"
)

// String prints the ruleset as nft text: what weft shows and loads when it has
// taken a text apart. A block's items stand in the order in which they may refer to
// each other; elements stand on lines of their own when they are many. Parsing
// it again gives an equal ruleset.
func (rs *Ruleset) String() string {
	var w writer
	for i, t := range rs.Tables {
		if i > 0 {
			w.line(0)
		}
		w.table(t)
	}
	for _, s := range rs.Others {
		w.line(0, s.Text)
	}
	return w.String()
}

// writer writes lines with tabs before them.
type writer struct {
	strings.Builder
	// places are where the content of items and the elements stand; nil if nobody
	// wants to know what the lines were made of.
	places  map[any]int
	sources []int // of each line, its offset or -1
	next    int   // source of the next line, plus 1
}

// from says that the next line is made of what stands in a content, so many
// bytes from the beginning of its item or tile.
func (w *writer) from(content any, at int) {
	if w.places == nil {
		return
	}
	if place, ok := w.places[content]; ok {
		w.next = place + at + 1
	}
}

func (w *writer) line(depth int, parts ...string) {
	if len(parts) > 0 {
		for range depth {
			w.WriteByte('\t')
		}
	}
	for _, p := range parts {
		w.WriteString(p)
	}
	w.WriteByte('\n')
	if w.places != nil {
		w.sources = append(w.sources, w.next-1)
		w.next = 0
	}
}

// option writes a line if its value is not empty.
func (w *writer) option(depth int, keyword, value string) {
	if value != "" {
		w.line(depth, keyword, value)
	}
}

func (w *writer) comment(depth int, text string) {
	if text != "" {
		w.line(depth, `comment "`, text, `"`)
	}
}

func (w *writer) table(t *Table) { w.addition(t.Family+" "+t.Name, additionOf(t)) }

// additionOf is all of a table.
func additionOf(t *Table) *addition {
	a := &addition{comment: t.Comment, flags: t.Flags, objects: t.Objects, sets: t.Sets, others: t.Others}
	for _, c := range t.Chains {
		a.chains = append(a.chains, chainPart{c, true, c.Rules})
	}
	return a
}

func (w *writer) addition(table string, a *addition) {
	w.line(0, "table ", table, " {")
	w.comment(1, a.comment)
	w.option(1, "flags ", strings.Join(a.flags, ", "))
	first := a.comment == "" && len(a.flags) == 0
	gap := func() {
		if !first {
			w.line(0)
		}
		first = false
	}
	for _, o := range a.objects {
		gap()
		w.object(o)
	}
	for _, s := range a.sets {
		gap()
		w.set(s)
	}
	for _, c := range a.chains {
		gap()
		w.chain(c)
	}
	for _, s := range a.others {
		w.from(s, s.at)
		w.line(1, s.Text)
	}
	w.line(0, "}")
}

func (w *writer) object(o *Object) {
	w.from(o, o.at)
	w.line(1, o.Kind, " ", o.Name, " {")
	for _, s := range o.Body {
		w.line(2, s)
	}
	w.line(1, "}")
}

func (w *writer) chain(c chainPart) {
	w.from(c.first(), c.at)
	w.line(1, "chain ", c.Name, " {")
	if c.head {
		w.comment(2, c.Comment)
	}
	if c.head && c.Base != nil {
		w.from(c.first(), c.Base.at)
		w.base(c.Base)
	}
	before := len(c.Rules) - len(c.rules)
	for i := range c.rules {
		w.from(c.block(before+i), c.rules[i].at)
		w.line(2, c.rules[i].Text)
	}
	w.line(1, "}")
}

func (w *writer) base(b *Base) {
	parts := []string{"type ", b.Type, " hook ", b.Hook}
	if len(b.Devices) == 1 {
		parts = append(parts, ` device "`, b.Devices[0], `"`)
	} else if len(b.Devices) > 1 {
		parts = append(parts, ` devices = { "`, strings.Join(b.Devices, `", "`), `" }`)
	}
	parts = append(parts, " priority ", b.priorityText(), ";")
	if b.Policy != "" {
		parts = append(parts, " policy ", b.Policy, ";")
	}
	if len(b.Flags) > 0 {
		parts = append(parts, " flags ", strings.Join(b.Flags, ", "), ";")
	}
	w.line(2, parts...)
}

// priorityText is the number where there is one: names depend on family and
// hook, and on the version of nft.
func (b *Base) priorityText() string {
	if b.Priority == 0 && b.PriorityText != "" {
		return b.PriorityText
	}
	return strconv.Itoa(b.Priority)
}

func (w *writer) set(s *Set) {
	keyword, kind := "set ", "type "
	if s.Map {
		keyword = "map "
	}
	if s.Typeof {
		kind = "typeof "
	}
	w.from(s, s.at)
	w.line(1, keyword, s.Name, " {")
	if s.Data != "" {
		w.line(2, kind, s.Key, " : ", s.Data)
	} else {
		w.option(2, kind, s.Key)
	}
	w.setOptions(s)
	w.elements(s.Elements)
	w.line(1, "}")
}

func (w *writer) setOptions(s *Set) {
	w.option(2, "size ", s.Size)
	w.option(2, "flags ", strings.Join(s.Flags, ","))
	for _, stateful := range s.Stateful {
		w.line(2, stateful)
	}
	w.option(2, "timeout ", s.Timeout)
	w.option(2, "gc-interval ", s.GCInterval)
	w.option(2, "policy ", s.Policy)
	if s.AutoMerge {
		w.line(2, "auto-merge")
	}
	w.comment(2, s.Comment)
}

func (w *writer) elements(elements []*Element) {
	switch len(elements) {
	case 0:
		return
	case 1:
		w.from(elements[0], elements[0].at)
		w.line(2, "elements = { ", elements[0].Text, " }")
		return
	}
	w.line(2, "elements = {")
	for _, e := range elements {
		w.from(e, e.at)
		w.line(3, e.Text, ",")
	}
	w.line(2, "}")
}
