package verify

import (
	"bytes"
	"slices"
	"sort"

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
	// dynamic says that a rule changes the set.
	dynamic bool
	mark    mark
}

// interval is the inclusive range of keys of an element, and the same as the range
// of a number.
type interval struct {
	from, to []byte
	element  int
	dom      domain
}

const none = -1

// newSet leaves expired elements out: lookups do not find them.
func newSet(s *nfnl.Set, elements []nfnl.Element) *set {
	live := slices.DeleteFunc(elements, func(e nfnl.Element) bool { return e.Expired() })
	// The kernel does not say how many come, so that there is room for more.
	return &set{Set: s, elements: slices.Clone(live), catchAll: none, mark: setMark(TableID{Family: s.Family, Name: s.Table}, s.Name)}
}

// exactKeys reports whether a key is found by itself alone, not by an interval
// that it is in.
func (s *set) exactKeys() bool { return s.Flags&nfnl.SetInterval == 0 }

// changing reports whether rules may change the set with each packet.
func (s *set) changing() bool { return s.Flags&nfnl.SetEval != 0 || s.dynamic }

// ranged reports whether each element has both ends of a range for each field.
func (s *set) ranged() bool { return len(s.Fields) > 1 && s.Flags&nfnl.SetInterval != 0 }

// prepare builds what lookups need, once.
func (s *set) prepare() {
	if s.indexed {
		return
	}
	s.indexed = true
	if s.bad = s.check(); s.bad == "" {
		s.index()
	}
}

func (s *set) index() {
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
	s.spans = make([]interval, 0, len(order))
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
		s.spans = append(s.spans, interval{from: e.Key, to: to, element: i})
	}
	if s.KeyLen > numWidth {
		return
	}
	numbers := make([]span, len(s.spans))
	for i := range s.spans {
		numbers[i] = span{bigEndian(s.spans[i].from), bigEndian(s.spans[i].to)}
		s.spans[i].dom = numbers[i : i+1 : i+1]
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

// at is the index of the element with the key, or none.
func (s *set) at(key string) int {
	s.prepare()
	if s.exact != nil {
		if i, ok := s.exact[key]; ok {
			return i
		}
		return none
	}
	return slices.IndexFunc(s.elements, func(e nfnl.Element) bool { return !e.CatchAll && string(e.Key) == key })
}

// replace makes the set hold the element under the key, or none if e is nil. The
// set must have exact keys.
func (s *set) replace(key string, e *nfnl.Element) {
	at := s.at(key)
	switch {
	case e == nil || e.Expired():
		if at != none {
			s.remove(at)
		}
	case at != none:
		s.elements[at] = *e
	default:
		s.elements = append(s.elements, *e)
		if s.exact != nil {
			s.exact[key] = len(s.elements) - 1
		}
	}
	if s.bad != "" || e != nil && s.checkElement(e) != "" {
		s.indexed, s.exact, s.catchAll = false, nil, none // what was bad may be gone
	}
}

// remove puts the last element into the place of the one that goes.
func (s *set) remove(at int) {
	last := len(s.elements) - 1
	if s.exact != nil {
		delete(s.exact, string(s.elements[at].Key))
		switch moved := &s.elements[last]; {
		case at == last:
		case moved.CatchAll:
			s.catchAll = at
		default:
			s.exact[string(moved.Key)] = at
		}
	}
	s.elements[at], s.elements[last] = s.elements[last], nfnl.Element{}
	s.elements = s.elements[:last]
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
		if why := s.checkElement(&s.elements[i]); why != "" {
			return why
		}
	}
	return ""
}

func (s *set) checkElement(e *nfnl.Element) string {
	switch {
	case e.Unknown != "":
		return e.Unknown
	case e.CatchAll:
	case len(e.Key) != int(s.KeyLen) || e.KeyEnd != nil && len(e.KeyEnd) != int(s.KeyLen):
		return "set " + s.Name + ": length of an element's key"
	}
	return s.checkData(e)
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
