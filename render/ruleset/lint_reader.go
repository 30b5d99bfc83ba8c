package ruleset

// class is what a value is, as far as lint minds.
type class uint8

const (
	anything class = iota
	address        // IPv4 or IPv6
	port
	slot    // a number that numgen or a hash gave
	verdict // of a verdict map
)

// operand is one part of a key or of data.
type operand struct {
	class class
	draw  draw // of a slot
	daddr bool // the destination address
}

// reader reads the words of one rule from left to right. It knows selectors
// well enough to tell which of the words behind them are addresses, ports and
// slots, and steps over the rest of the language: where it does not understand,
// it says nothing.
type reader struct {
	l       *linter
	scope   *scope
	tokens  []token
	i       int
	matched bool
	l4      bool // the rule named the transport protocol
	facts   ruleFacts
	events  []event // of the chain, up to here
}

func (r *reader) done() bool { return r.i >= len(r.tokens) }

// peek gives the token n ahead, an empty one behind the end.
func (r *reader) peek(n int) token {
	if r.i+n >= len(r.tokens) {
		return token{at: r.end()}
	}
	return r.tokens[r.i+n]
}

func (r *reader) end() int {
	if len(r.tokens) == 0 {
		return 0
	}
	t := r.tokens[len(r.tokens)-1]
	return t.at + len(t.text)
}

func (r *reader) next() token {
	t := r.peek(0)
	r.i++
	return t
}

// accept goes over a token if it is text.
func (r *reader) accept(text string) bool {
	if r.peek(0).is(text) {
		r.i++
		return true
	}
	return false
}

// rule reads a whole rule.
func (r *reader) rule() {
	for !r.done() {
		before := r.i
		r.statement()
		if r.i == before {
			r.i++
		}
	}
}

// statement reads a match or a statement.
func (r *reader) statement() {
	switch t := r.peek(0); t.text {
	case "comment":
		r.comment()
	case "jump", "goto":
		r.i++
		r.jump(t)
	case "drop", "reject":
		r.i++
		r.event(event{action: drops, word: t.text, at: t.at})
		r.facts.ends = true
	case "accept", "return":
		r.i++
		r.facts.ends = true
	case "dnat", "snat", "redirect", "masquerade":
		r.i++
		r.nat(t)
	case "@":
		r.setReference(nil)
	case "$":
		r.l.add(t.at, "define", usesVariable)
		r.i++
	case "{":
		r.list(nil, nil)
	case "add", "update", "delete":
		r.dynamic()
	default:
		r.match()
	}
}

func (r *reader) event(e event) {
	e.matched = r.matched
	r.events = append(r.events, e)
}

// comment reads the comment that ends a rule.
func (r *reader) comment() {
	t := r.next()
	c := r.next()
	if c.kind != quoted {
		return
	}
	r.l.comment(t.at, unquote(c.text))
	if !r.done() {
		r.l.add(r.peek(0).at, "comment", "%s behind the comment: nft wants a rule to end with it", quote(r.peek(0).text))
		r.i = len(r.tokens)
	}
}

// jump reads the target of a jump or goto.
func (r *reader) jump(keyword token) {
	target := r.target()
	if r.scope.chains[target] == nil {
		r.l.add(keyword.at, "undefined", "%s to chain %s, which this table does not define", keyword.text, quote(target))
	}
	r.event(event{action: jumps, target: target, word: keyword.text, at: keyword.at})
	r.facts.ends = r.facts.ends || keyword.text == "goto"
}

// target reads the name of a chain, also one that nft's scanner would take
// apart, so that the finding names it whole.
func (r *reader) target() string {
	name := r.next().text
	for t := r.peek(0); !r.done() && !t.spaced && !t.is(",") && !t.is("}"); t = r.peek(0) {
		name += r.next().text
	}
	return name
}

// dynamic reads `add @set { ... }`, whose braces hold expressions.
func (r *reader) dynamic() {
	r.i++
	if !r.peek(0).is("@") {
		return
	}
	r.setReference(nil)
	r.balanced("{", "}")
}

// balanced goes over a pair of brackets and what is between.
func (r *reader) balanced(open, closing string) {
	if !r.peek(0).is(open) {
		return
	}
	for depth := 0; !r.done(); {
		switch t := r.next(); {
		case t.is(open):
			depth++
		case t.is(closing):
			if depth--; depth == 0 {
				return
			}
		}
	}
}

// setReference reads `@name` and gives the set. `@th,0,16` is no set.
func (r *reader) setReference(keys []operand) *Set {
	at := r.next().at
	name := r.next().text
	if r.peek(0).is(",") && (name == "ll" || name == "nh" || name == "th" || name == "ih") {
		return nil
	}
	s := r.scope.sets[name]
	r.l.looks = append(r.l.looks, name)
	if s.Set == nil && !r.scope.flowtables[name] {
		r.l.add(at, "undefined", "%s is no set, map or flowtable of this table", quote("@"+name))
	}
	if s.Set != nil && len(keys) == 1 && keys[0].class == slot && s.Map {
		r.l.namedSlots(s, keys[0].draw, at)
	}
	return s.Set
}
