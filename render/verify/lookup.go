package verify

import (
	"maps"
	"slices"
	"strings"

	"weft/render/verify/nfnl"
)

// lookup finds the key's element; a path splits for each that is possible.
func (w *walker) lookup(p *path, e *nfnl.Lookup) bool {
	s := p.chain.table.sets[e.Set]
	if s == nil {
		return w.unknown(p, "set "+e.Set+" is missing")
	}
	if w.silent != "" && s.Name == w.silent {
		return w.found(p, e, s, none)
	}
	s.prepare()
	at := e.Sreg.Offset()
	if s.bad != "" || at+int(s.KeyLen) > len(p.regs) {
		return w.unknown(p, strings.TrimSpace("lookup: "+s.bad))
	}
	if s.changing() {
		return w.changing(p, e)
	}
	region := p.region(w, at, int(s.KeyLen))
	if w.focus != nil && w.focus.set == s {
		return w.focused(p, e, region)
	}
	var buf [64]byte
	if k, ok := constants(region, buf[:]); ok {
		w.meet(s, k)
		return w.found(p, e, s, s.find(k))
	}
	w.meet(s, nil)
	if !e.Map && s.catchAll == none {
		if c, ok := w.member(p, s, region); ok {
			return w.match(p, c, e.Invert)
		}
	}
	return w.each(p, e, s, region)
}

// changing looks a key up in a set that packets change.
func (w *walker) changing(p *path, e *nfnl.Lookup) bool {
	if e.Map {
		return w.unknown(p, "map "+e.Set+" changes with packets")
	}
	return w.sometimes(p, "in "+e.Set, e.Invert)
}

// meet notes what a lookup depends on: a key alone, or the whole set. That of a
// rule itself changes only with the rule's chain.
func (w *walker) meet(s *set, key []byte) {
	switch {
	case s.Flags&nfnl.SetAnonymous != 0:
	case key != nil && s.exactKeys():
		w.met = append(w.met, s.mark.key(key))
	default:
		w.met = append(w.met, s.mark)
	}
}

// focused goes on with the packets that look up a key of the focus, for each key
// with its element or without one, and drops all others: their walk is as it was.
func (w *walker) focused(p *path, e *nfnl.Lookup, region []symbol) bool {
	s := w.focus.set
	for _, key := range slices.Sorted(maps.Keys(w.focus.keys)) {
		c := w.equals(p, region, []byte(key))
		if c.reason != "" {
			return w.unknown(p, c.reason)
		}
		if yes, _ := w.split(p.clone(w), c); yes != nil && w.found(yes, e, s, s.find([]byte(key))) {
			w.push(yes)
		}
	}
	return false
}

// found goes on with element i, or without one.
func (w *walker) found(p *path, e *nfnl.Lookup, s *set, i int) bool {
	if (i == none) != e.Invert {
		p.nextRule()
		return true
	}
	if i == none || !e.Map {
		return true
	}
	el := &s.elements[i]
	if e.Dreg == 0 {
		if el.Verdict == nil {
			return w.unknown(p, "map "+s.Name+": no verdict")
		}
		return w.verdict(p, el.Verdict)
	}
	if e.Dreg.Offset()+len(el.Data) > len(p.regs) {
		return w.unknown(p, e.String())
	}
	p.storeBytes(e.Dreg.Offset(), el.Data)
	return true
}

// condition is that the region matches element i of the set.
func (w *walker) elementCondition(p *path, s *set, region []symbol, i int) condition {
	e := &s.elements[i]
	if !s.ranged() {
		return w.equals(p, region, e.Key)
	}
	all := condition{always: true}
	last := lastKey(e)
	s.field(func(a, b int) bool {
		all = both(all, w.within(p, region[a:b], e.Key[a:b], last[a:b]))
		return !all.never && all.reason == ""
	})
	return all
}

func both(a, b condition) condition {
	switch {
	case a.reason != "" || a.never || b.always:
		return a
	case b.reason != "" || b.never || a.always:
		return b
	}
	return condition{parts: append(slices.Clone(a.parts), b.parts...)}
}

// candidate is an element that a symbolic key may match.
type candidate struct {
	element int
	condition
}

// candidates are the elements that are possible for the path.
func (w *walker) candidates(p *path, s *set, region []symbol) ([]candidate, string) {
	w.steps += len(s.elements) / valuesPerStep
	var list []candidate
	add := func(i int, c condition) string {
		if c.reason == "" && !c.never && w.possible(p, c) {
			list = append(list, candidate{i, c})
		}
		return c.reason
	}
	if s.exact == nil {
		if v, ok := w.wholeVariable(region); ok && s.KeyLen <= numWidth {
			return w.among(p, s, v), ""
		}
		for _, r := range s.spans {
			if why := add(r.element, w.within(p, region, r.from, r.to)); why != "" {
				return nil, why
			}
		}
		return list, ""
	}
	for i := range s.elements {
		if i == s.catchAll {
			continue
		}
		if why := add(i, w.elementCondition(p, s, region, i)); why != "" {
			return nil, why
		}
	}
	return list, ""
}

// among are the candidates of an interval set for the value of one variable. They
// hold until it is asked again.
func (w *walker) among(p *path, s *set, v int32) []candidate {
	d := p.domain(w, v)
	list := w.near[:0]
	parts := slices.Grow(w.nearParts[:0], len(s.spans))
	for i := range s.spans {
		if r := &s.spans[i]; d.meets(r.dom[0]) {
			parts = append(parts, part{v, r.dom})
			list = append(list, candidate{r.element, condition{parts: parts[len(parts)-1 : len(parts) : len(parts)]}})
		}
	}
	w.near, w.nearParts = list, parts
	return list
}

// wholeVariable is the variable that a region holds, all of it and nothing else, in
// network order.
func (w *walker) wholeVariable(region []symbol) (int32, bool) {
	v := region[0].variable
	if v <= 0 || int(w.vars[v].width) != len(region) {
		return 0, false
	}
	for i, s := range region {
		if s != (symbol{v, uint8(i), 0xff, 0}) {
			return 0, false
		}
	}
	return v, true
}

func (w *walker) possible(p *path, c condition) bool {
	for _, part := range c.parts {
		if p.domain(w, part.variable).intersect(part.in).empty() {
			return false
		}
	}
	return true
}

// member is the condition that the key is in a set, if that is about one
// variable alone: then the path need not split for each element.
func (w *walker) member(p *path, s *set, region []symbol) (condition, bool) {
	list, why := w.candidates(p, s, region)
	if why != "" {
		return cannotTell(why), true
	}
	if len(list) == 0 {
		return certain(false), true
	}
	var spans []span
	v := int32(0)
	for _, c := range list {
		if len(c.parts) != 1 || v != 0 && c.parts[0].variable != v {
			return condition{}, false
		}
		v = c.parts[0].variable
		spans = append(spans, c.parts[0].in...)
	}
	return condition{parts: []part{{v, newDomain(spans)}}}, true
}

// each splits a path for each element that is possible, and for none of them.
func (w *walker) each(p *path, e *nfnl.Lookup, s *set, region []symbol) bool {
	list, why := w.candidates(p, s, region)
	if why != "" {
		return w.unknown(p, why)
	}
	rest := []*path{p}
	if v, ok := oneVariable(list); ok && len(list) > 0 {
		rest = w.peel(p, e, s, list, v)
	} else {
		rest = w.peelBoxes(rest, e, s, list)
	}
	for _, q := range rest {
		if w.found(q, e, s, s.catchAll) {
			w.push(q)
		}
	}
	return w.resume(p)
}

func oneVariable(list []candidate) (int32, bool) {
	v := int32(0)
	for _, c := range list {
		if len(c.parts) != 1 || v != 0 && c.parts[0].variable != v {
			return 0, false
		}
		v = c.parts[0].variable
	}
	return v, true
}

// peel splits over one variable: its domain is cut once, not once per element.
func (w *walker) peel(p *path, e *nfnl.Lookup, s *set, list []candidate, v int32) []*path {
	d := p.domain(w, v)
	taken := make([]span, 0, len(list))
	for _, c := range list {
		in := d.intersect(c.parts[0].in)
		taken = append(taken, in...)
		q := p.clone(w)
		q.narrow(v, in)
		if w.found(q, e, s, c.element) {
			w.push(q)
		}
	}
	left := d.subtract(newDomain(taken))
	if left.empty() {
		return nil
	}
	p.narrow(v, left)
	return []*path{p}
}

// peelBoxes splits over several variables, element by element.
func (w *walker) peelBoxes(rest []*path, e *nfnl.Lookup, s *set, list []candidate) []*path {
	for _, c := range list {
		var next []*path
		for _, q := range rest {
			yes, no := w.split(q, c.condition)
			if yes != nil {
				hit := yes.clone(w)
				if w.found(hit, e, s, c.element) {
					w.push(hit)
				}
			}
			next = append(next, no...)
		}
		if rest = next; len(rest) > maxBoxes {
			w.unknown(rest[0], "too many combinations of fields")
			return nil
		}
	}
	return rest
}

const maxBoxes = 4096
