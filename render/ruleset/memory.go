package ruleset

import (
	"slices"
	"sort"
	"strings"
)

// Parser parses one text after the other, where most of each is what was parsed
// before. It takes apart only the items and elements whose bytes changed, and
// the rulesets share all others, which are the same pointers then: [Diff] and
// [Linter] look no further where they are. The zero value is ready. It is for
// one goroutine at a time.
//
// A text comes in parts, as it was put together. A part that is the same string
// as before, not only an equal one, costs a comparison of two pointers, however
// long it is.
type Parser struct {
	last *Ruleset
	// read is how many bytes were taken apart since the last full text. What they
	// left is held by whatever block of them is still in use, so that a full
	// text is due when they are many.
	read int
	ends []int // room for those of the parts of the next text
}

// Parse is [Parse] of the parts put together. After an error the next text is
// compared with the last good one.
func (p *Parser) Parse(parts []string) (*Ruleset, error) {
	if p.last != nil {
		if rs := p.again(parts); rs != nil {
			p.last = rs
			return rs, nil
		}
	}
	if rs := p.inParts(parts); rs != nil {
		return rs, nil
	}
	rs, err := parse(parts)
	if err == nil && len(rs.early) == 0 {
		p.last, p.read = rs, 0
	}
	return rs, err
}

// inParts parses a text without the parts that look whole, and then puts these in, so
// that their texts are not in memory twice; nil if that cannot be done.
func (p *Parser) inParts(parts []string) *Ruleset {
	frame := slices.DeleteFunc(slices.Clone(parts), looksWhole)
	if len(frame) == len(parts) {
		return nil
	}
	rs, err := parse(frame)
	if err != nil || len(rs.early) > 0 {
		return nil
	}
	before := *p
	p.last, p.read = rs, 0
	if rs = p.again(parts); rs == nil {
		*p = before
	} else {
		p.last = rs
	}
	return rs
}

// looksWhole is a guess: a wrong one costs time.
func looksWhole(part string) bool {
	return strings.HasSuffix(part, "}\n") && strings.Count(part, "{") == strings.Count(part, "}")
}

// maxRead is how many texts a Parser reads in pieces before it reads one whole.
const maxRead = 2

// again makes the ruleset of the parts from the last one; nil if that cannot be
// done.
func (p *Parser) again(parts []string) *Ruleset {
	u := newUpdate(p.last, parts, p.ends)
	p.ends = u.ends
	if u.same() {
		return p.last
	}
	items, ok := splice(u, p.last.items, 0, 0, u.length, u.topItem, parseTop)
	if p.read += u.read; !ok || p.read > maxRead*u.length {
		return nil
	}
	rs := &Ruleset{parts: parts, items: items}
	rs.collect()
	return rs
}

// update is one text and what it shares with the one before.
type update struct {
	runs   []stretch
	parts  []string
	ends   []int // of the parts, in the text
	length int   // of the text
	before int   // length of the text before
	read   int   // bytes parsed
}

// newUpdate puts the ends of the parts into the room that it is given.
func newUpdate(last *Ruleset, parts []string, room []int) *update {
	u := &update{parts: parts, ends: slices.Grow(room[:0], len(parts))}
	for _, part := range parts {
		u.length += len(part)
		u.ends = append(u.ends, u.length)
	}
	u.before = last.items.length()
	u.runs = align(last.parts, parts)
	return u
}

// same reports whether nothing changed.
func (u *update) same() bool {
	if u.before != u.length {
		return false
	}
	return u.length == 0 || len(u.runs) == 1 && u.runs[0].length == u.length
}

// kept is where a stretch of the text before begins in the new one, if all of it
// is there.
func (u *update) kept(from, to int) (at int, ok bool) {
	low, high := 0, len(u.runs)
	for low < high { // the first run that ends behind from
		if middle := (low + high) / 2; u.runs[middle].old+u.runs[middle].length <= from {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == len(u.runs) || u.runs[low].old > from || u.runs[low].old+u.runs[low].length < to {
		return 0, false
	}
	return u.runs[low].new + from - u.runs[low].old, true
}

// part is the number of the part that holds the byte at an offset.
func (u *update) part(at int) int {
	return sort.Search(len(u.ends), func(i int) bool { return u.ends[i] > at })
}

// slice is a stretch of the new text.
func (u *update) slice(from, to int) string {
	i := u.part(from)
	start := u.ends[i] - len(u.parts[i])
	if to <= u.ends[i] {
		return u.parts[i][from-start : to-start]
	}
	var b strings.Builder
	b.Grow(to - from)
	b.WriteString(u.parts[i][from-start:])
	for i++; u.ends[i] < to; i++ {
		b.WriteString(u.parts[i])
	}
	b.WriteString(u.parts[i][:to-u.ends[i]+len(u.parts[i])])
	return b.String()
}

// splice makes the members of a text that reaches from newFrom to newTo: those
// of the old sequence, which began at oldFrom, that are still there, and what
// parse finds between them. keep gives a member for an old one and where it
// stands in the new text. It is false if the text cannot be made of both.
func splice[T any](u *update, old sequence[T], oldFrom, newFrom, newTo int,
	keep func(member *T, from, to int) (kept *T, newFrom, newTo int, ok bool),
	parse func(text string) (sequence[T], bool),
) (sequence[T], bool) {
	members := sequence[T]{make([]*T, 0, len(old.members)+1), make([]int, 0, len(old.members)+1)}
	at := newFrom
	between := func(to int) bool {
		for at < to {
			found, ok := parseSome(u, at, to, parse)
			if !ok {
				return false
			}
			for i, m := range found.members {
				members.add(m, at-newFrom+found.ends[i])
			}
			at += found.length()
		}
		return true
	}
	for i, m := range old.members {
		kept, from, to, ok := keep(m, oldFrom+old.start(i), oldFrom+old.ends[i])
		if !ok || from < at || to > newTo {
			continue
		}
		if !between(from) {
			return members, false
		}
		members.add(kept, to-newFrom)
		at = to
	}
	return members, between(newTo)
}

// parseSome parses the first part of a stretch by itself, if it is members of their own:
// to put parts together would have their texts in memory twice. Else it parses all of
// the stretch.
func parseSome[T any](u *update, from, to int, parse func(text string) (sequence[T], bool)) (found sequence[T], ok bool) {
	if end := u.ends[u.part(from)]; end < to {
		if found, ok = parse(u.slice(from, end)); ok && found.length() == end-from && found.isApart() {
			u.read += end - from
			return found, true
		}
	}
	found, ok = parse(u.slice(from, to))
	u.read += to - from
	return found, ok && found.length() == to-from
}

// topItem keeps an item of the top level, or makes a table of it anew.
func (u *update) topItem(it *item, from, to int) (*item, int, int, bool) {
	if at, ok := u.kept(from, to); ok {
		return it, at, at + to - from, it.ends
	}
	t, ok := it.content.(*Table)
	if !ok || len(t.members.members) == 0 {
		return nil, 0, 0, false
	}
	newFrom, newTo, ok := edges(u, &t.body, from, to)
	if !ok {
		return nil, 0, 0, false
	}
	n := &Table{Family: t.Family, Name: t.Name, body: t.body}
	n.members, ok = splice(u, t.members, from+len(t.head), newFrom+len(t.head), newTo-len(t.tail), u.tableItem, n.parseItems)
	if !ok || n.collect() >= 0 {
		return nil, 0, 0, false
	}
	anew := newItem(n, "", it.at)
	return anew, newFrom, newTo, anew.ends || newTo == u.length
}

// edges finds head and tail of a body in the new text.
func edges[T any](u *update, b *body[T], from, to int) (newFrom, newTo int, ok bool) {
	newFrom, head := u.kept(from, from+len(b.head))
	tailAt, tail := u.kept(to-len(b.tail), to)
	return newFrom, tailAt + len(b.tail), head && tail && newFrom+len(b.head) <= tailAt
}

// tableItem keeps an item of a table, or makes a set of it anew.
func (u *update) tableItem(it *item, from, to int) (*item, int, int, bool) {
	if at, ok := u.kept(from, to); ok {
		return it, at, at + to - from, it.ends
	}
	s, ok := it.content.(*Set)
	if !ok || s.lists != 1 {
		return nil, 0, 0, false
	}
	newFrom, newTo, ok := edges(u, &s.body, from, to)
	if !ok {
		return nil, 0, 0, false
	}
	n := *s
	n.members, ok = splice(u, s.members, from+len(s.head), newFrom+len(s.head), newTo-len(s.tail), u.element, parseElements)
	if !ok || !separated(n.members.members) {
		return nil, 0, 0, false
	}
	n.Elements = n.members.members
	anew := newItem(&n, "", it.at)
	return anew, newFrom, newTo, anew.ends
}

// element keeps an element.
func (u *update) element(e *Element, from, to int) (*Element, int, int, bool) {
	at, ok := u.kept(from, to)
	return e, at, at + to - from, ok
}

// separated tells whether all elements but the last have their commas.
func separated(elements []*Element) bool {
	for i, e := range elements {
		if i < len(elements)-1 && e.tile[len(e.tile)-1] != ',' {
			return false
		}
	}
	return len(elements) > 0
}

// isComplete tells whether the item is the same whatever stands behind it.
func (it *item) isComplete() bool {
	last := it.text
	switch c := it.content.(type) {
	case *Table:
		last = c.body.end(last)
	case *Set:
		last = c.body.end(last)
	case nil:
		if !strings.ContainsAny(last, "#\\") {
			return true
		}
	}
	line := last[strings.LastIndexByte(last, '\n')+1:]
	return strings.HasSuffix(last, "\n") || strings.HasSuffix(line, ";") && !strings.Contains(line, "#") // which would be a comment's
}

func parseTop(text string) (sequence[item], bool) {
	p := &parser{lexer: lexer{text: text}}
	items := p.topLevel()
	return items, p.clean() && allEnd(items)
}

// parseItems reads items between others of the table.
func (t *Table) parseItems(text string) (sequence[item], bool) {
	p := &parser{lexer: lexer{text: text}}
	var items sequence[item]
	for {
		first := p.begin()
		if first.kind == endOfText {
			p.blankItem(&items, 0)
			return items, p.clean() && allEnd(items)
		}
		if first.is("}") {
			return items, false
		}
		p.item(&items, 0, first, p.tableItem(t.Family, first))
	}
}

func allEnd(items sequence[item]) bool {
	for _, it := range items.members {
		if !it.ends {
			return false
		}
	}
	return true
}

// parseElements reads elements between others of a list.
func parseElements(text string) (sequence[Element], bool) {
	p := &parser{lexer: lexer{text: text}}
	var elements sequence[Element]
	list := listState{p: p, elements: &elements}
	for {
		switch t := p.next(); {
		case t.kind == endOfText:
			list.endTile(0)
			return elements, p.clean()
		case t.kind == newline:
			list.lineEnd(t)
		case t.is(","):
			list.comma(t)
		case t.is(";"), t.is("{"), t.is("}"), list.last == 'e':
			return elements, false
		default:
			p.pos = t.at
			list.element()
		}
	}
}
