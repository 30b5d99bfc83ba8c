package ruleset

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

const (
	blankLine    = "an empty line inside braces: nft refuses it"
	usesVariable = "nft variables have no place in rendered text, where their values could come from another file: write the value"
	emptyList    = "an empty list: nft refuses it; leave the whole statement out where there is nothing to list"
)

// Options tell Lint what belongs to weft.
type Options struct {
	Table string // the name of our tables, in any of the families ip, ip6 and inet; empty allows every name
}

// Lint says what is wrong with a ruleset: what nft would refuse, as far as text
// shows it, and what nft would take although it hurts the machine or does not do what weft is for. The
// findings are in the order of the text; none means that the text may go to nft.
func Lint(rs *Ruleset, opts Options) []Finding {
	if rs.text == "" { // made by hand: judge what would be loaded
		rs, _ = Parse(rs.String()) // what could be read is judged
	}
	l := &linter{rs: rs, opts: opts, scopes: map[scopeKey]*scope{}, findings: slices.Clone(rs.early)}
	l.topLevel()
	l.residue()
	for _, t := range rs.Tables { // in order, as nft: a block cannot refer to a later one
		l.table(t)
		l.sets(t)
		l.contents(t)
	}
	for _, t := range rs.Tables {
		l.paths(t)
	}
	return sorted(l.findings)
}

type linter struct {
	rs       *Ruleset
	opts     Options
	findings []Finding
	lines    []int // offsets of the beginnings of lines
	scopes   map[scopeKey]*scope
	buffer   []token // of the rule in hand
}

type scopeKey struct{ family, name string }

// scope is what the rules of a table can refer to.
type scope struct {
	chains     map[string]*Chain
	sets       map[string]*Set
	flowtables map[string]bool
	rules      map[string][]ruleFacts
	verdicts   map[*Set][]event
}

// add notes a finding at an offset of the text.
func (l *linter) add(at int, rule, format string, args ...any) {
	if l.lines == nil {
		l.lines = lineStarts(l.rs.text)
	}
	line := sort.SearchInts(l.lines, at+1)
	message := format
	if len(args) > 0 {
		message = fmt.Sprintf(format, args...)
	}
	l.findings = append(l.findings, Finding{Line: line, Column: at - l.lines[line-1] + 1, Rule: rule, Message: message})
}

func lineStarts(text string) []int {
	starts := []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// sorted gives findings in the order of the text, each once.
func sorted(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(findings)
}

// residue finds what a template leaves where a value was missing. It looks into
// comments and strings as well: there nft would say nothing.
func (l *linter) residue() {
	for _, mark := range [...]string{"<no value>", "<nil>", "%!"} {
		for from := 0; ; from += len(mark) {
			i := strings.Index(l.rs.text[from:], mark)
			if i < 0 {
				break
			}
			from += i
			l.add(from, "template-residue", "%s is what a template writes where a value is missing", quote(mark))
		}
	}
}

// topLevel judges what stands beside tables.
func (l *linter) topLevel() {
	for i := range l.rs.Others {
		l.other(l.rs.Others[i].at, l.rs.Others[i].Text)
	}
}

var commandWords = wordSet(`add create delete destroy describe export flush import insert list monitor rename replace reset
	table chain rule set map element flowtable counter quota limit ct secmark synproxy`)

// other judges a line that is no block.
func (l *linter) other(at int, text string) {
	first := (&lexer{text: text}).next()
	switch {
	case first.is("include"):
		l.add(at, "include", "rendered text is complete: nft would read %s from its own paths", quote(text))
	case first.is("define"), first.is("redefine"), first.is("undefine"), first.is("$"):
		l.add(at, "define", usesVariable)
	case strings.HasPrefix(text, "flush ruleset"):
		l.add(at, "command", "`flush ruleset` takes every table of the machine away")
	case commandWords[first.text]:
		l.add(at, "command", "%s is a command: a template writes `table` blocks alone, weft finds the commands itself", quote(text))
	default:
		l.add(at, "unknown-line", "%s is no nft: expected a `table` block, or a block or a rule inside one", quote(text))
	}
}

// table judges a table's head and collects what it defines.
func (l *linter) table(t *Table) {
	if l.opts.Table != "" && t.Name != l.opts.Table {
		l.add(t.at, "foreign-table", "table %s is not ours: expected %s, since weft must change nobody else's", t.Name, l.opts.Table)
	} else if t.Family != "ip" && t.Family != "ip6" && t.Family != "inet" {
		l.add(t.at, "foreign-table", "family %s: expected ip, ip6 or inet, where weft owns its table", t.Family)
	}
	l.name(t.at, "table", t.Name)
	l.comment(t.at, t.Comment)
	s := l.scope(t)
	for _, c := range t.Chains {
		l.define(c.at, "chain", c.Name, s.chains[c.Name] != nil)
		s.chains[c.Name] = c
	}
	for _, set := range t.Sets {
		l.define(set.at, "set or map", set.Name, s.sets[set.Name] != nil)
		s.sets[set.Name] = set
	}
	for _, o := range t.Objects {
		l.name(o.at, o.Kind, o.Name)
		if o.Kind == "flowtable" {
			s.flowtables[o.Name] = true
		}
	}
}

func (l *linter) scope(t *Table) *scope {
	key := scopeKey{t.Family, t.Name}
	if l.scopes[key] == nil {
		l.scopes[key] = &scope{
			chains: map[string]*Chain{}, sets: map[string]*Set{}, flowtables: map[string]bool{},
			rules: map[string][]ruleFacts{}, verdicts: map[*Set][]event{},
		}
	}
	return l.scopes[key]
}

// define judges the name of a block.
func (l *linter) define(at int, what, name string, again bool) {
	l.name(at, what, name)
	if again {
		l.add(at, "duplicate", "a second %s %s: nft would add this one's lines to the first", what, name)
	}
}

func (l *linter) name(at int, what, name string) {
	if problem := nameProblem(name); problem != "" {
		l.add(at, "name", "the name %s of this %s %s", quote(name), what, problem)
	}
}

func (l *linter) comment(at int, text string) {
	if len(text) > maxComment {
		l.add(at, "comment", "a comment of %d bytes: nft takes %d", len(text), maxComment)
	}
}

// sets judges the sets of a table: all of them before any rule, which may look
// into any of them.
func (l *linter) sets(t *Table) {
	for _, set := range t.Sets {
		l.set(l.scope(t), set)
	}
}

// contents judges the other blocks of a table.
func (l *linter) contents(t *Table) {
	s := l.scope(t)
	for i := range t.Others {
		l.other(t.Others[i].at, t.Others[i].Text)
	}
	for _, c := range t.Chains {
		l.comment(c.at, c.Comment)
		if c.Base != nil {
			l.base(t.Family, c.Base)
		}
		l.chain(s, c)
	}
}

// chain judges the rules of a chain and keeps what they do.
func (l *linter) chain(s *scope, c *Chain) {
	facts := make([]ruleFacts, 0, len(c.Rules))
	for i := range c.Rules {
		r := &c.Rules[i]
		first := (&lexer{text: r.Text}).next()
		if first.kind == word && !beginsRule(first.text) || first.is("$") {
			l.other(r.at, r.Text)
			continue
		}
		read := reader{l: l, scope: s, tokens: l.tokens(r.at, r.end)}
		read.rule()
		facts = append(facts, read.facts)
	}
	s.rules[c.Name] = append(s.rules[c.Name], facts...)
	l.cascade(facts)
}

// tokens reads a part of the text again; positions are offsets of the text.
// They stay valid until the next call.
func (l *linter) tokens(from, to int) []token {
	l.buffer = l.appendTokens(l.buffer[:0], from, to)
	return l.buffer
}

func (l *linter) appendTokens(tokens []token, from, to int) []token {
	lex := lexer{text: l.rs.text[:to], pos: from}
	for {
		switch t := lex.next(); t.kind {
		case endOfText:
			return tokens
		case newline:
		default:
			tokens = append(tokens, t)
		}
	}
}
