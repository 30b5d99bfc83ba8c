package ruleset

import "strings"

// set reads a set or map from behind its keyword.
func (p *parser) set(t *Table, keyword token) {
	s := &Set{Map: keyword.text == "map", Line: p.line(keyword.at), at: keyword.at}
	var ok bool
	if s.Name, ok = p.open(keyword.text); !ok {
		return
	}
	t.Sets = append(t.Sets, s)
	p.block(keyword.at, keyword.text, func(first token) { p.setItem(s, first) })
}

// setItem reads one line of a set.
func (p *parser) setItem(s *Set, first token) {
	switch first.text {
	case "elements":
		p.elements(s)
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
func (p *parser) elements(s *Set) {
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
	if p.elementList(s, opened) {
		p.close("elements")
	}
}

// elementList reads elements up to the closing brace.
func (p *parser) elementList(s *Set, opened token) bool {
	list := listState{p: p}
	before := len(s.Elements)
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
			if len(s.Elements) == before {
				p.find(opened.at, "empty", emptyList)
			}
			return true
		default:
			if list.afterElement() {
				p.fail(t.at, "expected ',' or '}' behind an element")
			}
			p.pos = t.at
			s.Elements = append(s.Elements, p.element())
			list.element()
		}
	}
}

// listState follows the separators of a list.
type listState struct {
	p        *parser
	lineEnds int
	last     byte // 'e' for an element, ',' or 0
	lastAt   int
}

func (l *listState) afterElement() bool { return l.last == 'e' }

func (l *listState) element() { l.last, l.lineEnds = 'e', 0 }

func (l *listState) comma(t token) {
	if l.last != 'e' {
		l.p.find(t.at, "empty", "a comma without an element before it")
	}
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
