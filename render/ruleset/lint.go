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
	if len(rs.items.members) == 0 { // made by hand: judge what would be loaded
		rs, _ = Parse(rs.String()) // what could be read is judged
	}
	return newLinter(opts).lint(rs)
}

func newLinter(opts Options) *linter { return &linter{opts: opts, scopes: map[scopeKey]*scope{}} }

func (l *linter) lint(rs *Ruleset) []Finding {
	l.text = rs.text()
	for _, e := range rs.early {
		l.add(e.at, e.rule, "%s", e.message)
	}
	l.residue()
	l.others(&rs.items, 0)
	rs.eachTable(l.table, l.sets, l.contents) // in order, as nft: a block cannot refer to a later one
	rs.eachTable(l.paths)
	l.text, l.lines = "", nil
	return sorted(l.findings)
}

// eachTable calls functions with each table and the offset of its item.
func (rs *Ruleset) eachTable(functions ...func(t *Table, at int)) {
	for i, it := range rs.items.members {
		if t, ok := it.content.(*Table); ok {
			for _, f := range functions {
				f(t, rs.items.start(i))
			}
		}
	}
}

// each calls a function with each item of a table whose own item stands at an
// offset, and the item's offset.
func (t *Table) each(at int, f func(it *item, at int)) {
	at += len(t.head)
	for i, it := range t.members.members {
		f(it, at+t.members.start(i))
	}
}

type linter struct {
	text     string
	opts     Options
	findings []Finding
	lines    []int // offsets of the beginnings of lines
	scopes   map[scopeKey]*scope
	buffer   []token     // of the rule in hand
	facts    []ruleFacts // of the chain in hand
	events   []event
	looks    []string // sets that the chain in hand looks into
}

type scopeKey struct{ family, name string }

// scope is what the rules of a table can refer to.
type scope struct {
	chains     map[string][]*Chain // the blocks of each
	sets       map[string]placedSet
	flowtables map[string]bool
	events     map[*Chain][]event  // of each block: what its rules do
	looks      map[*Chain][]string // of each block: the sets that it looks into, if any
	verdicts   map[*Set][]event    // of each element of a map; without an action where it has none
}

// placedSet is a set and the offset of its item.
type placedSet struct {
	*Set
	at int
}

// add notes a finding at an offset of the text.
func (l *linter) add(at int, rule, format string, args ...any) {
	if l.lines == nil {
		l.lines = lineStarts(l.text)
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

// residues are what a template leaves where a value was missing.
var residues = [...]string{"<no value>", "<nil>", "%!"}

// residue finds them. It looks into comments and strings as well: there nft
// would say nothing.
func (l *linter) residue() {
	for _, mark := range residues {
		for from := 0; ; from += len(mark) {
			i := strings.Index(l.text[from:], mark)
			if i < 0 {
				break
			}
			from += i
			l.add(from, "template-residue", "%s is what a template writes where a value is missing", quote(mark))
		}
	}
}

func hasResidue(text string) bool {
	for _, mark := range residues {
		if strings.Contains(text, mark) {
			return true
		}
	}
	return false
}

// others judges what is no block.
func (l *linter) others(items *sequence[item], at int) {
	for i, it := range items.members {
		if s, ok := it.content.(*Statement); ok {
			l.other(at+items.start(i)+it.at, s.Text)
		}
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
func (l *linter) table(t *Table, base int) {
	at := base + t.at
	if l.opts.Table != "" && t.Name != l.opts.Table {
		l.add(at, "foreign-table", "table %s is not ours: expected %s, since weft must change nobody else's", t.Name, l.opts.Table)
	} else if t.Family != "ip" && t.Family != "ip6" && t.Family != "inet" {
		l.add(at, "foreign-table", "family %s: expected ip, ip6 or inet, where weft owns its table", t.Family)
	}
	l.name(at, "table", t.Name)
	l.comment(at, t.Comment)
	s := l.scope(t)
	t.each(base, func(it *item, at int) { l.collect(s, it, at) })
}

// collect notes what an item defines.
func (l *linter) collect(s *scope, it *item, at int) {
	switch c := it.content.(type) {
	case *Chain:
		l.name(at+c.at, "chain", c.Name)
		if s.chains[c.Name] = append(s.chains[c.Name], c); !c.mayJoin(s.chains[c.Name]) {
			l.add(at+c.at, "duplicate", "a second chain %s: nft would add this one's lines to the first; expected another name, or a destination port at the beginning of each rule of both (`th dport 30000 ...`)", c.Name)
		}
	case *Set:
		l.name(at+c.at, "set or map", c.Name)
		if s.sets[c.Name].Set != nil {
			l.add(at+c.at, "duplicate", "a second set or map %s: nft would add this one's lines to the first", c.Name)
		}
		s.sets[c.Name] = placedSet{c, at}
	case *Object:
		l.name(at+c.at, c.Kind, c.Name)
		if c.Kind == "flowtable" {
			s.flowtables[c.Name] = true
		}
	}
}

func (l *linter) scope(t *Table) *scope {
	key := scopeKey{t.Family, t.Name}
	if l.scopes[key] == nil {
		l.scopes[key] = &scope{
			chains: map[string][]*Chain{}, sets: map[string]placedSet{}, flowtables: map[string]bool{},
			events: map[*Chain][]event{}, looks: map[*Chain][]string{}, verdicts: map[*Set][]event{},
		}
	}
	return l.scopes[key]
}

// name judges the name of a block.
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
func (l *linter) sets(t *Table, at int) {
	s := l.scope(t)
	t.each(at, func(it *item, at int) {
		if set, ok := it.content.(*Set); ok {
			l.set(s, placedSet{set, at})
		}
	})
}

// contents judges the other blocks of a table.
func (l *linter) contents(t *Table, at int) {
	s := l.scope(t)
	l.others(&t.members, at+len(t.head))
	list := make([]placedChain, 0, len(t.Chains))
	t.each(at, func(it *item, at int) {
		if c, ok := it.content.(*Chain); ok {
			list = append(list, placedChain{c, at})
		}
	})
	l.chains(s, t.Family, list)
}

// chain judges a chain.
func (l *linter) chain(s *scope, family string, c *Chain, at int) {
	l.comment(at+c.at, c.Comment)
	if c.Base != nil {
		l.base(family, at, c.Base)
	}
	l.looks = nil
	l.rules(s, c, at)
	if len(l.looks) > 0 {
		s.looks[c] = l.looks
	}
}

// rules judges the rules of a chain and keeps what they do.
func (l *linter) rules(s *scope, c *Chain, at int) {
	l.facts, l.events = l.facts[:0], l.events[:0]
	for i := range c.Rules {
		r := &c.Rules[i]
		first := (&lexer{text: r.Text}).next()
		if first.kind == word && !beginsRule(first.text) || first.is("$") {
			l.other(at+r.at, r.Text)
			continue
		}
		read := reader{l: l, scope: s, tokens: l.tokens(c.text[:r.end], r.at, at), events: l.events}
		read.rule()
		l.facts, l.events = append(l.facts, read.facts), read.events
	}
	s.events[c] = slices.Clone(l.events)
	l.cascade(l.facts)
	l.hashes(l.facts)
}

// tokens reads a text again from an offset on. Their positions are offsets of the
// whole text, in which this one begins at base. They stay valid until the next call.
func (l *linter) tokens(text string, from, base int) []token {
	l.buffer = appendTokens(l.buffer[:0], text, from, base)
	return l.buffer
}

func appendTokens(tokens []token, text string, from, base int) []token {
	lex := lexer{text: text, pos: from}
	for {
		switch t := lex.next(); t.kind {
		case endOfText:
			return tokens
		case newline:
		default:
			t.at += base
			tokens = append(tokens, t)
		}
	}
}
