package ruleset

// set judges a set or map and its elements.
func (l *linter) set(s *scope, set placedSet) {
	l.setHead(set)
	s.verdicts[set.Set] = l.elements(s, set, nil)
}

func (l *linter) setHead(set placedSet) {
	at := set.at + set.Set.at
	l.comment(at, set.Comment)
	if set.Key == "" {
		l.add(at, "type", "%s has no type: nft wants to know what its elements are", set.Name)
	}
}

// elements judges the elements and gives the verdict of each. Of those that are
// known already, it is what known says.
func (l *linter) elements(s *scope, set placedSet, known func(i int) (event, bool)) []event {
	keys, data := l.types(set, set.Key), l.types(set, set.Data)
	events := make([]event, len(set.Elements))
	i := 0
	set.each(func(e *Element, at int) {
		old := false
		if known != nil {
			events[i], old = known(i)
		}
		if !old {
			r := reader{l: l, scope: s, tokens: l.tokens(e.tile[:e.end], e.at, at)}
			if r.listElement(keys, data, nil); len(r.events) > 0 {
				events[i] = r.events[0]
			}
		}
		i++
	})
	return events
}

// each calls a function with each element and the offset of its tile.
func (s placedSet) each(f func(e *Element, at int)) {
	at := s.at + len(s.head)
	for i, e := range s.members.members {
		f(e, at+s.members.start(i))
	}
}

// types gives the parts of a key or of data.
func (l *linter) types(set placedSet, text string) []operand {
	lex := lexer{text: text}
	var tokens []token
	for t := lex.next(); t.kind != endOfText; t = lex.next() {
		if !t.is("interval") {
			t.at = set.at + set.Set.at
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
func (l *linter) namedSlots(s placedSet, d draw, at int) {
	var slots []interval
	wildcard := false
	s.each(func(e *Element, at int) {
		r := reader{l: l, tokens: appendTokens(nil, e.tile[:e.end], e.at, at)}
		wildcard = wildcard || r.peek(0).is("*")
		if slot, ok := r.slotKey(); ok {
			slots = append(slots, slot)
		}
	})
	l.slots(d, slots, wildcard, at)
}
