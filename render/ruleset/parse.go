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
func Parse(text string) (*Ruleset, error) {
	p := &parser{lexer: lexer{text: text}, rs: &Ruleset{text: text}}
	p.ruleset()
	return p.rs, p.errs.ErrorOrNil()
}

type parser struct {
	lexer
	rs    *Ruleset
	errs  *multierror.Error
	lines lineCounter

	tokens []token // of the element in hand
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
	line, column := position(p.text, at)
	p.rs.early = append(p.rs.early, Finding{Line: line, Column: column, Rule: rule, Message: message})
}

// line is the line of an offset that is not before the last one asked for.
func (p *parser) line(at int) int { return p.lines.line(p.text, at) }

// ruleset reads the top level.
func (p *parser) ruleset() {
	for {
		switch t := p.begin(); {
		case t.kind == endOfText:
			return
		case t.is("}"):
			p.fail(t.at, "'}' closes nothing")
		case t.is("table"):
			p.table(t)
		default:
			p.rs.Others = p.unknownLine(p.rs.Others, t)
		}
	}
}

// begin skips separators and gives the first token of the next statement.
func (p *parser) begin() token {
	for {
		if t := p.next(); t.kind != newline && !t.is(";") {
			return t
		}
	}
}

// table reads a table from behind its keyword.
func (p *parser) table(keyword token) {
	t := &Table{Family: "ip", Line: p.line(keyword.at), at: keyword.at}
	if f := p.next(); isFamily(f.text) {
		t.Family = f.text
	} else {
		p.pos = f.at
	}
	t.Name = p.name()
	if t.Name == "" {
		p.expected("the name of the table")
		return
	}
	p.rs.Tables = append(p.rs.Tables, t)
	if b := p.next(); !b.is("{") {
		p.pos = b.at
		p.end("table")
		return
	}
	p.block(keyword.at, "table", func(first token) { p.tableItem(t, first) })
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
func (p *parser) tableItem(t *Table, first token) {
	switch first.text {
	case "chain":
		p.chain(t, first)
	case "set", "map":
		p.set(t, first)
	case "comment":
		t.Comment = p.comment(first, t.Comment)
	case "flags":
		t.Flags = words(p.rest().Text)
	case "counter", "quota", "limit", "secmark", "synproxy", "flowtable":
		p.object(t, first, first.text)
	case "ct":
		if k := p.next(); k.is("helper") || k.is("timeout") || k.is("expectation") {
			p.object(t, first, "ct "+k.text)
			return
		}
		fallthrough
	default:
		t.Others = p.unknownLine(t.Others, first)
	}
}

// unknownLine keeps a line that belongs nowhere.
func (p *parser) unknownLine(lines []Statement, first token) []Statement {
	p.pos = first.at
	if first.kind == junk {
		p.unknown()
		p.skip()
		return lines
	}
	return append(lines, p.other())
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
func (p *parser) object(t *Table, keyword token, kind string) {
	o := &Object{Kind: kind, Line: p.line(keyword.at), at: keyword.at}
	var ok bool
	if o.Name, ok = p.open(kind); !ok {
		return
	}
	t.Objects = append(t.Objects, o)
	p.block(keyword.at, kind, func(first token) {
		p.pos = first.at
		o.Body = append(o.Body, p.cut(true).Text) // nft wants no separator here
	})
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
