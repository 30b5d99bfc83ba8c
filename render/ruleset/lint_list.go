package ruleset

import "strings"

// list reads `{ ELEMENT, ... }`: a set where data is nil, else a map.
func (r *reader) list(keys, data []operand) {
	opened := r.next()
	var slots []interval
	wildcard, empty, separated := false, true, true
	for !r.done() {
		t := r.peek(0)
		if t.is("}") {
			r.i++
			break
		}
		if t.is(",") {
			if r.i++; separated {
				r.l.add(t.at, "empty", "a comma without an element before it")
			}
			separated = true
			continue
		}
		wildcard = wildcard || t.is("*")
		slots = r.listElement(keys, data, slots)
		empty, separated = false, false
	}
	if empty {
		r.l.add(opened.at, "empty", emptyList)
	}
	if len(keys) == 1 && keys[0].class == slot && !empty {
		// A set only matches: its holes are no mistake.
		r.l.slots(keys[0].draw, slots, wildcard || data == nil, opened.at)
	}
}

// listElement reads an element up to its separator.
func (r *reader) listElement(keys, data []operand, slots []interval) []interval {
	from := r.i
	if len(keys) == 1 && keys[0].class == slot {
		if s, ok := r.slotKey(); ok {
			slots = append(slots, s)
		}
	} else {
		r.concat(keys)
	}
	r.elementOptions()
	if r.accept(":") {
		r.elementData(data)
	}
	for !r.done() && !r.peek(0).is(",") && !r.peek(0).is("}") {
		r.i++ // beyond our grammar
	}
	if r.i == from {
		r.i++
	}
	return slots
}

// slotKey reads a slot or a range of slots.
func (r *reader) slotKey() (interval, bool) {
	t := r.peek(0)
	from, ok := parseSlot(t.text)
	if !ok {
		r.accept("*")
		return interval{}, false
	}
	r.i++
	s := interval{from: from, to: from, at: t.at}
	if r.accept("-") {
		s.to, ok = parseSlot(r.next().text)
	}
	return s, ok
}

// concat reads values with dots between.
func (r *reader) concat(parts []operand) {
	for i := 0; ; i++ {
		o := operand{}
		if i < len(parts) {
			o = parts[i]
		}
		r.value(o)
		if !r.accept(".") {
			return
		}
	}
}

// elementOptions reads what may stand between key and ':'.
func (r *reader) elementOptions() {
	for !r.done() && !r.peek(0).is(":") && !r.peek(0).is(",") && !r.peek(0).is("}") {
		t := r.next()
		if c := r.peek(0); t.is("comment") && c.kind == quoted {
			r.l.comment(t.at, unquote(c.text))
		}
		if t.is("$") {
			r.l.add(t.at, "define", usesVariable)
		}
	}
}

// elementData reads the value of an element.
func (r *reader) elementData(data []operand) {
	if len(data) == 0 || data[0].class != verdict {
		r.concat(data)
		return
	}
	switch t := r.next(); t.text {
	case "jump", "goto":
		r.jump(t)
	case "drop":
		r.event(event{action: drops, word: t.text, at: t.at})
	case "accept", "return", "continue", "queue":
	default:
		r.l.add(t.at, "verdict", "%s in a verdict map: expected accept, drop, return, continue, `jump CHAIN` or `goto CHAIN`", quote(t.text))
	}
}

// nat reads what stands behind dnat, snat, redirect and masquerade.
func (r *reader) nat(keyword token) {
	if keyword.is("dnat") || keyword.is("redirect") {
		r.event(event{action: translates, word: keyword.text, at: keyword.at})
		r.facts.ends = true
	}
	hasPort := false
	for t := r.peek(0); t.is("ip") || t.is("ip6") || t.is("addr") || t.is("port") || t.is(".") || t.is("prefix") || t.is("interval"); t = r.peek(0) {
		hasPort = hasPort || t.is("port")
		r.i++
	}
	if !r.accept("to") {
		return
	}
	if r.natTarget() || hasPort {
		r.natProtocol(keyword)
	}
}

// natTarget reads the target and tells whether it has a port.
func (r *reader) natTarget() bool {
	target := []operand{{class: address}, {class: port}}
	hasPort := false
	if keys := r.selectors(); keys != nil {
		if r.accept("map") {
			hasPort = r.mapHasPort()
			r.mapping(keys, target)
		}
	} else if r.accept("[") {
		r.value(target[0])
		r.accept("]")
	} else if t := r.peek(0); t.kind == word || t.is("$") {
		r.concat(target)
	}
	if r.accept(":") {
		hasPort = true
		r.value(target[1])
	}
	return hasPort
}

// mapHasPort tells whether the data of the map that begins here is an address
// with a port.
func (r *reader) mapHasPort() bool {
	if r.peek(0).is("@") {
		s := r.scope.sets[r.peek(1).text]
		return s.Set != nil && strings.Contains(s.Data, " . ")
	}
	for i := 1; !r.peek(i).is("}") && r.i+i < len(r.tokens); i++ {
		if r.peek(i).is(":") {
			return r.peek(i + 2).is(".")
		}
	}
	return false
}

// natProtocol refuses a port where the rule does not say of which protocol.
func (r *reader) natProtocol(keyword token) {
	if !r.l4 {
		r.l.add(keyword.at, "dnat-protocol", "%s to a port in a rule that matches no transport protocol: nft refuses it; expected `meta l4proto tcp` or the like before it", keyword.text)
	}
}
