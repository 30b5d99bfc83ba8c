package ruleset

// set judges a set or map and its elements.
func (l *linter) set(s *scope, set *Set) {
	l.comment(set.at, set.Comment)
	if set.Key == "" {
		l.add(set.at, "type", "%s has no type: nft wants to know what its elements are", set.Name)
	}
	s.verdicts[set] = l.elements(s, set)
}

// elements judges each element and gives the verdicts that they hold.
func (l *linter) elements(s *scope, set *Set) []event {
	keys, data := l.types(set, set.Key), l.types(set, set.Data)
	var events []event
	for i := range set.Elements {
		e := &set.Elements[i]
		r := reader{l: l, scope: s, tokens: l.tokens(e.at, e.end)}
		r.listElement(keys, data, nil)
		events = append(events, r.facts.events...)
	}
	return events
}

// types gives the parts of a key or of data.
func (l *linter) types(set *Set, text string) []operand {
	lex := lexer{text: text}
	var tokens []token
	for t := lex.next(); t.kind != endOfText; t = lex.next() {
		if !t.is("interval") {
			t.at = set.at
			tokens = append(tokens, t)
		}
	}
	if set.Typeof && text != "verdict" {
		return (&reader{l: l, tokens: tokens}).selectors()
	}
	var parts []operand
	for _, t := range tokens {
		if !t.is(".") {
			parts = append(parts, operand{class: typeClasses[t.text]})
		}
	}
	return parts
}

var typeClasses = map[string]class{
	"ipv4_addr": address, "ipv6_addr": address, "inet_service": port, "verdict": verdict,
}

// namedSlots checks the elements of a named map against the numbers that a rule
// looks up in it.
func (l *linter) namedSlots(s *Set, d draw, at int) {
	var slots []interval
	wildcard := false
	for i := range s.Elements {
		r := reader{l: l, tokens: l.appendTokens(nil, s.Elements[i].at, s.Elements[i].end)}
		wildcard = wildcard || r.peek(0).is("*")
		if slot, ok := r.slotKey(); ok {
			slots = append(slots, slot)
		}
	}
	l.slots(d, slots, wildcard, at)
}
