package verify

import (
	"bytes"
	"slices"
	"sort"
	"strings"

	"weft/render/verify/nfnl"
)

// set is a set or map with its live elements.
type set struct {
	*nfnl.Set
	elements []nfnl.Element
	// spans index the elements of an interval set, sorted; exact those of others.
	spans    []interval
	exact    map[string]int
	catchAll int
	indexed  bool
	// bad says why lookups in this set cannot be told.
	bad string
}

// interval is the inclusive range of keys of an element.
type interval struct {
	from, to []byte
	element  int
}

const none = -1

// newSet leaves expired elements out: lookups do not find them.
func newSet(s *nfnl.Set, elements []nfnl.Element) *set {
	live := slices.DeleteFunc(elements, func(e nfnl.Element) bool { return e.Expired() })
	return &set{Set: s, elements: live, catchAll: none}
}

// ranged reports whether each element has both ends of a range for each field.
func (s *set) ranged() bool { return len(s.Fields) > 1 && s.Flags&nfnl.SetInterval != 0 }

// index builds what lookups need, once.
func (s *set) index() {
	if s.indexed {
		return
	}
	s.indexed = true
	if s.Flags&nfnl.SetInterval != 0 && !s.ranged() {
		s.indexIntervals()
		return
	}
	s.exact = make(map[string]int, len(s.elements))
	for i := range s.elements {
		e := &s.elements[i]
		if e.CatchAll {
			s.catchAll = i
			continue
		}
		if !s.ranged() {
			s.exact[string(e.Key)] = i
		}
	}
}

// indexIntervals pairs each key with the end marker behind it. An interval
// without a marker goes up to the largest key; the kernel lists in any order.
func (s *set) indexIntervals() {
	order := make([]int, 0, len(s.elements))
	for i := range s.elements {
		if s.elements[i].CatchAll {
			s.catchAll = i
			continue
		}
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return compareEnds(&s.elements[a], &s.elements[b]) })
	for k, i := range order {
		e := &s.elements[i]
		if e.End {
			continue
		}
		to := bytes.Repeat([]byte{0xff}, len(e.Key))
		if k+1 < len(order) {
			if b, ok := before(s.elements[order[k+1]].Key); ok {
				to = b
			}
		}
		if e.KeyEnd != nil {
			to = e.KeyEnd
		}
		s.spans = append(s.spans, interval{e.Key, to, i})
	}
}

// compareEnds sorts by key; an end marker comes before a key of the same value.
func compareEnds(a, b *nfnl.Element) int {
	if c := bytes.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	switch {
	case a.End == b.End:
		return 0
	case a.End:
		return -1
	}
	return 1
}

// find looks a constant key up.
func (s *set) find(key []byte) int {
	switch {
	case s.ranged():
		for i := range s.elements {
			if e := &s.elements[i]; !e.CatchAll && s.inFields(e, key) {
				return i
			}
		}
	case s.exact != nil:
		if i, ok := s.exact[string(key)]; ok {
			return i
		}
	default:
		k := sort.Search(len(s.spans), func(i int) bool { return bytes.Compare(s.spans[i].to, key) >= 0 })
		if k < len(s.spans) && bytes.Compare(s.spans[k].from, key) <= 0 {
			return s.spans[k].element
		}
	}
	return s.catchAll
}

// field calls f with the bytes of each field of a concatenation: fields begin at
// multiples of four bytes.
func (s *set) field(f func(from, to int) bool) bool {
	at := 0
	for _, n := range s.Fields {
		if !f(at, at+int(n)) {
			return false
		}
		at += (int(n) + 3) &^ 3
	}
	return true
}

func (s *set) inFields(e *nfnl.Element, key []byte) bool {
	last := lastKey(e)
	return s.field(func(a, b int) bool {
		return bytes.Compare(e.Key[a:b], key[a:b]) <= 0 && bytes.Compare(key[a:b], last[a:b]) <= 0
	})
}

func lastKey(e *nfnl.Element) []byte {
	if e.KeyEnd != nil {
		return e.KeyEnd
	}
	return e.Key
}

// check says what in a set keeps a lookup from being told.
func (s *set) check() string {
	if s.Set.Unknown != "" {
		return s.Set.Unknown
	}
	end := 0
	for _, n := range s.Fields {
		end += (int(n) + 3) &^ 3
	}
	if s.KeyLen == 0 || s.KeyLen > 64 || s.ranged() && (end == 0 || end != int(s.KeyLen)) {
		return "set " + s.Name + ": key length"
	}
	for i := range s.elements {
		e := &s.elements[i]
		switch {
		case e.Unknown != "":
			return e.Unknown
		case e.CatchAll:
		case len(e.Key) != int(s.KeyLen) || e.KeyEnd != nil && len(e.KeyEnd) != int(s.KeyLen):
			return "set " + s.Name + ": length of an element's key"
		}
		if why := s.checkData(e); why != "" {
			return why
		}
	}
	return ""
}

func (s *set) checkData(e *nfnl.Element) string {
	if s.Flags&nfnl.SetMap != 0 && !e.End {
		if s.DataType == nfnl.DataVerdict && e.Verdict == nil || s.DataType != nfnl.DataVerdict && len(e.Data) == 0 {
			return "map " + s.Name + ": element without data"
		}
	}
	for _, x := range e.Exprs {
		if _, ok := x.(*nfnl.Passive); !ok {
			return "set " + s.Name + ": " + x.String()
		}
	}
	return ""
}

// lookup finds the key's element; a path splits for each that is possible.
func (w *walker) lookup(p *path, e *nfnl.Lookup) bool {
	s := p.chain.table.sets[e.Set]
	if s == nil {
		return w.unknown(p, "set "+e.Set+" is missing")
	}
	if !s.indexed {
		if s.bad = s.check(); s.bad == "" {
			s.index()
		}
		s.indexed = true
	}
	at := e.Sreg.Offset()
	if s.bad != "" || at+int(s.KeyLen) > len(p.regs) {
		return w.unknown(p, strings.TrimSpace("lookup: "+s.bad))
	}
	region := p.region(w, at, int(s.KeyLen))
	var buf [64]byte
	if k, ok := constants(region, buf[:]); ok {
		return w.found(p, e, s, s.find(k))
	}
	if !e.Map && s.catchAll == none {
		if c, ok := w.member(p, s, region); ok {
			return w.match(p, c, e.Invert)
		}
	}
	return w.each(p, e, s, region)
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
	var taken []span
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
