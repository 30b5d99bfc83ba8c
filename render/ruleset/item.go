package ruleset

import (
	"slices"
	"strings"
)

// item is a statement of the top level or of a table, with the white space and
// comments that stand before it and the separator behind it: items tile their
// text. What an item says depends on its own bytes alone.
type item struct {
	// content is a *Table, *Chain, *Set, *Object or *Statement, the tableComment
	// or tableFlags of its table, or nil for white space and comments alone.
	content any
	text    string // empty for a *Table and a *Set that have a body
	at      int    // of the statement, in the item
	ends    bool   // it is the same whatever stands behind it
	sum     uint32 // of the name of a chain
}

func newItem(content any, text string, at int) *item {
	it := &item{content: content, text: text, at: at}
	it.ends = it.isComplete()
	if c, ok := content.(*Chain); ok {
		it.sum = sumOf(c.Name)
	}
	return it
}

type (
	tableComment string
	tableFlags   []string
)

// sequence is what tiles a text: members[i] reaches from ends[i-1] to ends[i].
type sequence[T any] struct {
	members []*T
	ends    []int
}

func (s *sequence[T]) add(member *T, end int) {
	s.members = append(s.members, member)
	s.ends = append(s.ends, end)
}

// start is where a member begins.
func (s *sequence[T]) start(i int) int {
	if i == 0 {
		return 0
	}
	return s.ends[i-1]
}

// length is that of the whole text.
func (s *sequence[T]) length() int { return s.start(len(s.ends)) }

// isApart reports whether more can stand behind the members: an element needs its
// comma.
func (s *sequence[T]) isApart() bool {
	if len(s.members) == 0 {
		return false
	}
	last, isElement := any(s.members[len(s.members)-1]).(*Element)
	return !isElement || strings.HasSuffix(last.tile, ",")
}

// body is the text of an item that has members: a table or a set.
type body[T any] struct {
	at      int    // of the keyword, in the item
	head    string // of the item, up to the first member
	tail    string // from the last member to the end of the item
	members sequence[T]
}

// end is the text of an item that has a body, or none and that text, as far as it matters
// for its last line.
func (b *body[T]) end(text string) string {
	if strings.Contains(b.tail, "\n") {
		return b.tail
	}
	return text + b.head + b.tail
}

// collect gives the table what its items say. The position of an item of which
// there is one too many comes back, or -1.
func (t *Table) collect() int {
	t.makeRoom()
	twice := -1
	for i, it := range t.members.members {
		switch c := it.content.(type) {
		case *Chain:
			t.Chains, t.sums = append(t.Chains, c), append(t.sums, it.sum)
		case *Set:
			t.Sets = append(t.Sets, c)
		case *Object:
			t.Objects = append(t.Objects, c)
		case *Statement:
			t.Others = append(t.Others, c)
		case tableComment:
			if t.Comment != "" {
				twice = t.members.start(i) + it.at
			}
			t.Comment = string(c)
		case tableFlags:
			t.Flags = c
		}
	}
	return twice
}

// makeRoom makes the lists as long as they will be: tables have thousands of chains.
func (t *Table) makeRoom() {
	chains, sets := 0, 0
	for _, it := range t.members.members {
		switch it.content.(type) {
		case *Chain:
			chains++
		case *Set:
			sets++
		}
	}
	t.Chains, t.Sets = slices.Grow(t.Chains, chains), slices.Grow(t.Sets, sets)
	t.sums = slices.Grow(t.sums, chains)
}

// collect gives the ruleset what its items say.
func (rs *Ruleset) collect() {
	for _, it := range rs.items.members {
		switch c := it.content.(type) {
		case *Table:
			rs.Tables = append(rs.Tables, c)
		case *Statement:
			rs.Others = append(rs.Others, c)
		}
	}
}

// text puts the parts together.
func (rs *Ruleset) text() string { return strings.Join(rs.parts, "") }

// placesOf gives the offset of the content of each item and of the tile of each
// element; nothing for a ruleset that was made by hand.
func placesOf(rs *Ruleset) map[any]int {
	places := map[any]int{}
	for i, it := range rs.items.members {
		at := rs.items.start(i)
		switch c := it.content.(type) {
		case *Table:
			c.places(places, at)
		case *Statement:
			places[c] = at
		}
	}
	return places
}

func (t *Table) places(places map[any]int, at int) {
	t.each(at, func(it *item, at int) {
		switch c := it.content.(type) {
		case *Chain, *Object, *Statement:
			places[c] = at
		case *Set:
			places[c] = at
			placedSet{c, at}.each(func(e *Element, at int) { places[e] = at })
		}
	})
}
