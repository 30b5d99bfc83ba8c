package ruleset

// element reads one element: `KEY [timeout T] [expires T] [counter ...]
// [comment "C"] [: VALUE]`, up to its comma, the closing brace or the end of
// the line. Its positions count from the beginning of its tile.
func (p *parser) element(tile int) *Element {
	e := &Element{at: p.pos - tile}
	p.tokens = p.tokens[:0]
	for {
		t := p.next()
		if t.kind == endOfText || t.kind == newline || t.is(",") || t.is("}") || t.is(";") {
			p.pos = t.at
			break
		}
		if t.kind == junk {
			p.pos = t.at
			p.unknown()
			p.pos++
		}
		p.tokens = append(p.tokens, t)
	}
	last := p.tokens[len(p.tokens)-1]
	e.end = last.at + len(last.text) - tile
	e.Text = p.span(p.tokens)
	p.elementParts(e, p.tokens, tile)
	return e
}

// elementParts splits the tokens of an element.
func (p *parser) elementParts(e *Element, tokens []token, tile int) {
	n := elementKey(tokens)
	e.Key, tokens = p.span(tokens[:n]), tokens[n:]
	if n == 0 {
		p.fail(tile+e.at, "an element without a key")
	}
	for len(tokens) > 0 && !tokens[0].is(":") {
		n := p.elementOption(e, tokens)
		tokens = tokens[n:]
	}
	if len(tokens) == 0 {
		return
	}
	if e.Value = p.span(tokens[1:]); e.Value == "" {
		p.fail(tokens[0].at, "an element without a value behind its ':'")
	}
	for _, t := range tokens[1:] {
		if t.is("comment") {
			p.fail(t.at, "a comment behind the value: nft wants it before the ':'")
		}
	}
}

// elementKey is the number of tokens of the key.
func elementKey(tokens []token) int {
	for i, t := range tokens {
		if t.is(":") || i > 0 && isElementOption(t) {
			return i
		}
	}
	return len(tokens)
}

func isElementOption(t token) bool {
	if t.kind != word {
		return false
	}
	switch t.text {
	case "timeout", "expires", "comment", "counter", "limit", "quota", "ct", "last":
		return true
	}
	return false
}

// elementOption reads the option that tokens begin with and gives its length.
func (p *parser) elementOption(e *Element, tokens []token) int {
	n := 1
	for n < len(tokens) && !tokens[n].is(":") && !isElementOption(tokens[n]) {
		n++
	}
	switch value := p.span(tokens[1:n]); tokens[0].text {
	case "timeout":
		e.Timeout = value
	case "expires":
		e.Expires = value
	case "comment":
		if n != 2 || tokens[1].kind != quoted {
			p.fail(tokens[0].at, "expected a comment in quotes")
			return n
		}
		e.Comment = unquote(value)
	default:
		e.State = joinWords(e.State, p.span(tokens[:n]))
	}
	return n
}

func joinWords(a, b string) string {
	if a == "" {
		return b
	}
	return a + " " + b
}

// span gives the text of neighbouring tokens on one line.
func (p *parser) span(tokens []token) string {
	if len(tokens) == 0 {
		return ""
	}
	last := tokens[len(tokens)-1]
	s := p.text[tokens[0].at : last.at+len(last.text)]
	if tidy(s) {
		return s
	}
	return oneLine(s)
}
