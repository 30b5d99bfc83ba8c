package ruleset

import "strings"

// statement cuts out the statement that begins here, up to its separator. It
// does not look at words: rules are most of a text, and only lint reads them.
func (p *parser) statement() Statement {
	s := p.cut(true)
	if s.closed {
		p.closes()
	}
	return s
}

// other is a statement of no known kind, in which any byte may stand.
func (p *parser) other() Statement {
	return p.cut(false)
}

// rest is a statement whose first word has been read.
func (p *parser) rest() Statement {
	p.blank()
	return p.statement()
}

// skip goes behind the statement, and behind the braces that it opens.
func (p *parser) skip() { p.other() }

// cut reads a statement. Where strict, bytes that nft does not know are errors.
func (p *parser) cut(strict bool) Statement {
	s := Statement{at: p.pos, end: p.pos}
	depth, lineEnds := 0, 0
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == ' ' || c == '\t' || c == '#' || c == '\\' && strings.HasPrefix(p.text[p.pos:], "\\\n"):
			start := p.pos
			p.blank()
			lineEnds -= min(lineEnds, lineComment(p.text, start, p.pos))
			continue
		case depth == 0 && (c == '\n' || c == ';'):
			p.pos++
			return p.finish(s)
		case c == '\n':
			if lineEnds++; lineEnds == 2 && strict {
				p.find(p.pos, "blank-line", blankLine)
			}
			p.pos++
			continue
		case c == '}' && depth == 0:
			s.closed = true
			return p.finish(s)
		default:
			depth += p.take(c, strict)
		}
		s.end, lineEnds = p.pos, 0
	}
	if depth > 0 {
		p.fail(s.at, "a '{' of this statement is never closed")
	}
	return p.finish(s)
}

// take goes over a byte of a statement, or a whole string, and gives what it
// adds to the depth of braces.
func (p *parser) take(c byte, strict bool) int {
	depth, length := 0, 1
	switch {
	case c == '{':
		depth = 1
	case c == '}':
		depth = -1
	case c == '"':
		if length = quotedLength(p.text[p.pos:]); length == 0 {
			p.unknown()
			length = 1
		}
	case strict && classes[c] == classJunk, c == '\\':
		p.unknown()
	}
	p.pos += length
	return depth
}

// lineComment is 1 if a comment with a line of its own stands in text[from:to]:
// nft swallows its line's end with it.
func lineComment(text string, from, to int) int {
	hash := strings.IndexByte(text[from:to], '#')
	if hash < 0 {
		return 0
	}
	before := strings.TrimRight(text[:from+hash], " \t")
	if before == "" || strings.HasSuffix(before, "\n") {
		return 1
	}
	return 0
}

// finish gives the statement its text.
func (p *parser) finish(s Statement) Statement {
	if s.Text = p.text[s.at:s.end]; !tidy(s.Text) {
		s.Text = oneLine(s.Text)
	}
	return s
}

// tidy tells whether a text is on one line with single spaces already.
func tidy(s string) bool {
	return !strings.ContainsAny(s, "\t\n#\\") && !strings.Contains(s, "  ")
}

// oneLine puts text on one line: white space, line ends and comments become
// single spaces where there was any between two tokens.
func oneLine(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	lex := lexer{text: s}
	gap := false
	for {
		t := lex.next()
		if t.kind == endOfText {
			return b.String()
		}
		if gap = gap || t.spaced; t.kind == newline {
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
		gap = false
	}
}

// unknown notes a byte that nft's scanner does not know.
func (p *parser) unknown() {
	switch c := p.text[p.pos]; c {
	case '"':
		p.fail(p.pos, "a string that does not end on its line")
	case '\r':
		p.fail(p.pos, "a carriage return: nft takes line feeds alone")
	case '\'':
		p.fail(p.pos, "a single quote: nft knows double quotes alone")
	default:
		p.fail(p.pos, "a character that is no nft: "+quoteByte(c))
	}
}

func quoteByte(c byte) string {
	if c > ' ' && c < 0x7f {
		return "'" + string(rune(c)) + "'"
	}
	const digits = "0123456789abcdef"
	return "byte 0x" + string(digits[c>>4]) + string(digits[c&15])
}

// closes notes a block's closing brace on the line of a statement.
func (p *parser) closes() {
	p.find(p.pos, "brace", "'}' on the line of a statement: nft wants a line's end or ';' before it")
}

// close checks that a statement ends here.
func (p *parser) close(what string) {
	switch t := p.next(); {
	case t.kind == newline, t.kind == endOfText, t.is(";"):
	case t.is("}"):
		p.pos = t.at
		p.closes()
	default:
		p.pos = t.at
		p.expected("the end of the line behind the " + what)
	}
}

// position gives line and column of an offset, both 1-based.
func position(text string, at int) (line, column int) {
	before := text[:min(at, len(text))]
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n')
}
