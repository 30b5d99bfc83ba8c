package ruleset

import (
	"strings"

	"github.com/hashicorp/go-multierror"
)

// maxErrors bounds the errors of one text: a file that is no ruleset at all
// would give one for each line.
const maxErrors = 20

// Parse takes rendered nft text apart. The error is a [multierror.Error] of
// [*SyntaxError], as many as can be told apart. What could be read is returned
// beside an error, so that [Lint] can say its part in the same breath; it must
// not be loaded.
func Parse(text string) (*Ruleset, error) { return parse([]string{text}) }

func parse(parts []string) (*Ruleset, error) {
	p := &parser{lexer: lexer{text: strings.Join(parts, "")}}
	rs := &Ruleset{parts: parts, items: p.topLevel()}
	rs.early = p.early
	rs.collect()
	return rs, p.errs.ErrorOrNil()
}

type parser struct {
	lexer
	errs  *multierror.Error
	early []early
	began int // where the statement in hand begins, with what stands before it

	tokens []token // of the element in hand
}

// early is what the parser sees and Lint reports.
type early struct {
	at            int
	rule, message string
}

// fail notes a syntax error at an offset.
func (p *parser) fail(at int, message string) {
	if p.errs != nil && p.errs.Len() >= maxErrors {
		return
	}
	line, column := position(p.text, at)
	p.errs = multierror.Append(p.errs, &SyntaxError{Line: line, Column: column, Message: message})
}

// find notes something that nft refuses although it can be read.
func (p *parser) find(at int, rule, message string) {
	p.early = append(p.early, early{at, rule, message})
}

// clean tells whether there was nothing to note.
func (p *parser) clean() bool { return p.errs == nil && len(p.early) == 0 }

// topLevel reads the top level to the end of the text.
func (p *parser) topLevel() sequence[item] {
	var items sequence[item]
	from := p.pos
	for {
		t := p.begin()
		if t.kind == endOfText {
			p.blankItem(&items, from)
			return items
		}
		p.item(&items, from, t, p.topItem(t))
	}
}

// topItem reads one item of the top level.
func (p *parser) topItem(first token) any {
	switch {
	case first.is("}"):
		p.fail(first.at, "'}' closes nothing")
		return nil
	case first.is("table"):
		return p.table(first)
	}
	return p.unknownLine(first)
}

// item adds what was read since the last member of a sequence that begins at from.
func (p *parser) item(items *sequence[item], from int, first token, content any) {
	start := from + items.length()
	it := newItem(content, p.text[start:p.pos], first.at-start)
	items.add(it, p.pos-from)
}

// blankItem adds what is left at the end of a text.
func (p *parser) blankItem(items *sequence[item], from int) {
	if start := from + items.length(); start < p.pos {
		items.add(newItem(nil, p.text[start:p.pos], 0), p.pos-from)
	}
}

// begin skips separators and gives the first token of the next statement.
func (p *parser) begin() token {
	p.began = p.pos
	for {
		if t := p.next(); t.kind != newline && !t.is(";") {
			return t
		}
	}
}

// table reads a table from behind its keyword.
func (p *parser) table(keyword token) any {
	start := p.began
	t := &Table{Family: "ip"}
	t.at = keyword.at - start
	if f := p.next(); isFamily(f.text) {
		t.Family = f.text
	} else {
		p.pos = f.at
	}
	t.Name = p.name()
	if t.Name == "" {
		p.expected("the name of the table")
		return nil
	}
	if b := p.next(); !b.is("{") {
		p.pos = b.at
		p.end("table")
		t.head = p.text[start:p.pos]
		return t
	}
	open := p.pos
	t.head = p.text[start:open]
	p.block(keyword.at, "table", func(first token) { p.item(&t.members, open, first, p.tableItem(t.Family, first)) })
	t.tail = p.text[open+t.members.length() : p.pos]
	if twice := t.collect(); twice >= 0 {
		p.fail(open+twice, "a second comment: nft takes one")
	}
	return t
}

func isFamily(s string) bool {
	switch s {
	case "ip", "ip6", "inet", "arp", "bridge", "netdev":
		return true
	}
	return false
}

// name reads the name of a block: anything up to white space or punctuation,
// since a name that nft refuses is better reported as such (see nameProblem)
// than as the pieces that nft's scanner makes of it.
func (p *parser) name() string {
	p.blank()
	start := p.pos
	if n := quotedLength(p.text[start:]); n > 0 && p.text[start] == '"' {
		p.pos += n
		return p.text[start:p.pos]
	}
	for p.pos < len(p.text) && !strings.ContainsRune(" \t\n{};,#\\\"", rune(p.text[p.pos])) {
		p.pos++
	}
	return p.text[start:p.pos]
}

// block reads statements up to the closing brace, each by item, which gets its
// first token.
func (p *parser) block(opened int, what string, item func(first token)) {
	for {
		switch t := p.begin(); {
		case t.kind == endOfText:
			p.fail(opened, "the '{' of this "+what+" is never closed")
			return
		case t.is("}"):
			p.end(what)
			return
		default:
			item(t)
		}
	}
}

// end checks that a block is followed by the end of its line or a semicolon.
func (p *parser) end(what string) {
	t := p.next()
	if t.kind == junk {
		p.pos = t.at // an error of the next statement
	} else if t.kind != newline && t.kind != endOfText && !t.is(";") {
		p.find(t.at, "brace", "nft wants a line's end or ';' behind a "+what)
		p.pos = t.at
	}
}

// tableItem reads one item of a table.
func (p *parser) tableItem(family string, first token) any {
	switch first.text {
	case "chain":
		return p.chain(family, first)
	case "set", "map":
		return p.set(first)
	case "comment":
		return tableComment(p.comment(first, ""))
	case "flags":
		return tableFlags(words(p.rest().Text))
	case "counter", "quota", "limit", "secmark", "synproxy", "flowtable":
		return p.object(first, first.text)
	case "ct":
		if k := p.next(); k.is("helper") || k.is("timeout") || k.is("expectation") {
			return p.object(first, "ct "+k.text)
		}
	}
	return p.unknownLine(first)
}

// unknownLine keeps a line that belongs nowhere.
func (p *parser) unknownLine(first token) any {
	p.pos = first.at
	if first.kind == junk {
		p.unknown()
		p.skip()
		return nil
	}
	start := p.began
	s := p.other()
	s.at, s.end = s.at-start, s.end-start
	return &s
}

// open reads the name of a block and its brace.
func (p *parser) open(what string) (string, bool) {
	name := p.name()
	if name == "" {
		p.expected("the name of the " + what)
		return "", false
	}
	if b := p.next(); !b.is("{") {
		p.pos = b.at
		p.expected("'{' behind the name of the " + what + " " + name)
		return "", false
	}
	return name, true
}

// expected notes what should stand here and goes on behind the statement.
func (p *parser) expected(what string) {
	p.blank()
	p.fail(p.pos, "expected "+what)
	p.skip()
}

// object reads a named object.
func (p *parser) object(keyword token, kind string) any {
	o := &Object{Kind: kind, at: keyword.at - p.began}
	var ok bool
	if o.Name, ok = p.open(kind); !ok {
		return nil
	}
	p.block(keyword.at, kind, func(first token) {
		p.pos = first.at
		o.Body = append(o.Body, p.cut(true).Text) // nft wants no separator here
	})
	return o
}

// comment reads the text of a comment statement.
func (p *parser) comment(keyword token, old string) string {
	t := p.next()
	if t.kind != quoted {
		p.pos = t.at
		p.expected("a comment in quotes")
		return old
	}
	if old != "" {
		p.fail(keyword.at, "a second comment: nft takes one")
	}
	p.close("comment")
	return unquote(t.text)
}

func unquote(s string) string { return s[1 : len(s)-1] }

// words gives the words of a list with commas.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}
