package ruleset

import "strings"

// set reads a set or map from behind its keyword.
func (p *parser) set(keyword token) any {
	start := p.began
	s := &Set{Map: keyword.text == "map"}
	s.at = keyword.at - start
	var ok bool
	if s.Name, ok = p.open(keyword.text); !ok {
		return nil
	}
	r := setReader{parser: p, set: s}
	p.block(keyword.at, keyword.text, r.item)
	if s.lists == 0 {
		r.from = p.pos
	}
	s.head, s.tail = p.text[start:r.from], p.text[r.from+s.members.length():p.pos]
	s.Elements = s.members.members
	return s
}

// setReader reads the lines of a set.
type setReader struct {
	*parser
	set  *Set
	from int // where the first list of elements begins
}

// item reads one line of a set.
func (p *setReader) item(first token) {
	s := p.set
	switch first.text {
	case "elements":
		p.elements()
	case "comment":
		s.Comment = p.comment(first, s.Comment)
	case "type", "typeof":
		s.Typeof = first.text == "typeof"
		s.Key, s.Data = cutType(p.rest().Text)
	case "flags":
		s.Flags = words(p.rest().Text)
	case "timeout":
		s.Timeout = p.rest().Text
	case "gc-interval":
		s.GCInterval = p.rest().Text
	case "size":
		s.Size = p.rest().Text
	case "policy":
		s.Policy = p.rest().Text
	case "auto-merge":
		s.AutoMerge = true
		p.close("auto-merge")
	case "counter", "limit", "quota", "ct", "last":
		p.pos = first.at
		s.Stateful = append(s.Stateful, p.statement().Text)
	default:
		p.fail(first.at, "expected a line of a set, as `type`, `flags`, `elements`, not "+quote(first.text))
		p.pos = first.at
		p.skip()
	}
}

func quote(s string) string { return "`" + s + "`" }

// cutType parts the types of keys and data.
func cutType(s string) (key, data string) {
	key, data, _ = strings.Cut(s, ":")
	return strings.TrimSpace(key), strings.TrimSpace(data)
}

// elements reads `= { ... }`. A set may have several such lines.
func (p *setReader) elements() {
	if t := p.next(); !t.is("=") {
		p.pos = t.at
		p.expected("'=' behind elements")
		return
	}
	opened := p.next()
	if opened.is("$") {
		p.find(opened.at, "define", usesVariable)
		p.skip()
		return
	}
	if !opened.is("{") {
		p.pos = opened.at
		p.expected("'{' behind elements =")
		return
	}
	if p.set.lists++; p.set.lists == 1 {
		p.from = p.pos
	}
	before := len(p.set.members.members)
	closed := p.elementList(&p.set.members, p.from, opened)
	if closed && len(p.set.members.members) == before {
		p.find(opened.at, "empty", emptyList)
	}
	if closed {
		p.close("elements")
	}
}

// elementList reads elements up to the closing brace into a sequence that began
// at an offset of the text.
func (p *parser) elementList(elements *sequence[Element], from int, opened token) bool {
	list := listState{p: p, elements: elements, from: from}
	defer list.endTile(0)
	for {
		t := p.next()
		switch {
		case t.kind == endOfText:
			p.fail(opened.at, "the '{' of these elements is never closed")
			return false
		case t.kind == newline:
			list.lineEnd(t)
		case t.is(","):
			list.comma(t)
		case t.is(";"), t.is("{"):
			p.fail(t.at, quote(t.text)+" between elements: expected ','")
		case t.is("}"):
			return true
		default:
			if list.last == 'e' {
				p.fail(t.at, "expected ',' or '}' behind an element")
			}
			p.pos = t.at
			list.element()
		}
	}
}

// listState follows the separators of a list.
type listState struct {
	p        *parser
	elements *sequence[Element]
	from     int
	open     *Element // whose tile may still get a comma
	lineEnds int
	last     byte // 'e' for an element, ',' or 0
	lastAt   int
}

func (l *listState) element() {
	l.endTile(0)
	l.open = l.p.element(l.from + l.elements.length())
	l.last, l.lineEnds = 'e', 0
}

// endTile ends the tile of the last element at an offset, or right behind the
// element.
func (l *listState) endTile(to int) {
	if e := l.open; e != nil {
		start := l.from + l.elements.length()
		e.tile = l.p.text[start:max(to, start+e.end)]
		l.elements.add(e, start+len(e.tile)-l.from)
		l.open = nil
	}
}

func (l *listState) comma(t token) {
	if l.last != 'e' {
		l.p.find(t.at, "empty", "a comma without an element before it")
	}
	l.endTile(l.p.pos)
	l.last, l.lineEnds = ',', 0
}

func (l *listState) lineEnd(t token) {
	if l.lineEnds > 0 && lineComment(l.p.text, l.lastAt, t.at) > 0 {
		l.lineEnds--
	}
	l.lastAt = t.at + 1
	if l.lineEnds++; l.lineEnds == 2 {
		l.p.find(t.at, "blank-line", blankLine)
	}
}
