package ruleset

import (
	"slices"
	"strings"
)

// chain reads a chain from behind its keyword.
func (p *parser) chain(family string, keyword token) any {
	start := p.began
	c := &Chain{at: keyword.at - start}
	var ok bool
	if c.Name, ok = p.open("chain"); !ok {
		return nil
	}
	p.block(keyword.at, "chain", func(first token) { p.chainItem(family, c, start, first) })
	c.text = p.text[start:p.pos]
	c.Rules = slices.Clone(c.Rules) // without the room that it grew in
	return c
}

// chainItem reads one line of a chain.
func (p *parser) chainItem(family string, c *Chain, start int, first token) {
	switch {
	case first.is("type"):
		p.pos = first.at
		p.base(family, c, start, p.statement())
	case first.is("comment"):
		c.Comment = p.comment(first, c.Comment)
	case first.is("policy"):
		p.onBase(c, first, func(b *Base, text string) { b.Policy = text })
	case first.is("flags"):
		p.onBase(c, first, func(b *Base, text string) { b.Flags = words(text) })
	case first.is("devices"):
		p.onBase(c, first, func(b *Base, text string) { b.Devices = devices(text) })
	default:
		p.pos = first.at
		s := p.ruleStatement(first)
		c.Rules = append(c.Rules, Rule{Text: s.Text, at: s.at - start, end: s.end - start})
	}
}

// ruleStatement cuts out a rule. One that begins with no word of nft may hold
// any byte: lint says what it is, rather than what is wrong with its quotes.
func (p *parser) ruleStatement(first token) Statement {
	if first.kind == word && !beginsRule(first.text) {
		return p.other()
	}
	return p.statement()
}

// onBase reads a statement that belongs to a base chain.
func (p *parser) onBase(c *Chain, first token, set func(b *Base, text string)) {
	s := p.rest()
	if c.Base == nil {
		p.fail(first.at, "`"+first.text+"` in a chain without a `type ... hook ...` line before it")
		return
	}
	set(c.Base, s.Text)
}

// base reads `type T hook H [device D] priority P`.
func (p *parser) base(family string, c *Chain, start int, s Statement) {
	b := &Base{at: s.at - start}
	head, priority, _ := strings.Cut(s.Text, " priority ")
	f := strings.Fields(head)
	if !isBase(f) || priority == "" || strings.ContainsAny(priority, `{}"`) {
		p.fail(s.at, "expected `type TYPE hook HOOK [device NAME] priority NUMBER`")
		return
	}
	b.Type, b.Hook = f[1], f[3]
	if len(f) > 4 {
		b.Devices = devices(strings.Join(f[4:], " "))
	}
	b.PriorityText = priority
	b.Priority, _ = Priority(family, b.Hook, priority)
	c.Base = b
}

// isBase tells whether words are what stands before the priority.
func isBase(f []string) bool {
	return len(f) >= 4 && f[2] == "hook" && isName(f[1]) && isName(f[3]) &&
		(len(f) == 4 || f[4] == "device" || f[4] == "devices")
}

// devices reads `device "a"` or `devices = { a, b }`.
func devices(s string) []string {
	return strings.FieldsFunc(strings.TrimPrefix(strings.TrimPrefix(s, "devices"), "device"), func(r rune) bool {
		return strings.ContainsRune(" \t,={}\"", r)
	})
}

// isName tells whether s is a name as nft's scanner takes it.
func isName(s string) bool {
	return classes[s[0]] == classLetter && nameLength(s) == len(s)
}
