package render

import "slices"

// This file makes the entries of a range over values, such as ports and addresses.

// listMemory is what was written for a list.
type listMemory struct {
	trace
	key   uint64
	items any    // a slice
	kept  []kept // for values; ServicePorts have their own
}

// ahead is how many items of a list may be gone before the rest is written anew.
const ahead = 8

// eachValue is each for values, which are the same if they are equal.
func eachValue[T comparable](l *loom, id int, list []T, outside []any) (bool, error) {
	m, s := &l.ranges[id], &l.set.sites[id]
	body, key := l.plain.Lookup(s.name), m.keys.number(outside, l.run)
	before := finder[T]{listMemory: m.before(key)}
	before.items, _ = before.listMemory.items.([]T)
	same := slices.Equal(before.items, list)
	if same && l.stands(before.trace) {
		again := before.listMemory
		again.run, again.at = l.run, l.trace().at
		m.keep(again)
		return len(list) > 0, l.out.repeat(before.at, len(list))
	}
	binding := append([]any{0}, outside...)
	now := listMemory{trace: l.trace(), key: key, items: before.items, kept: before.kept[:0]} // each entry in its own place
	if !same {
		now.items, now.kept = slices.Clone(list), make([]kept, 0, len(list))
	}
	for i, item := range list {
		k, found := before.find(item)
		if !found || s.indexed && k.index != i || !l.isRight(&k) {
			k = l.entry(kept{site: id, key: key, index: i}, func(out *limited) error {
				binding[0] = i
				l.binding = binding
				return body.Execute(out, item)
			})
		}
		if m.isOpen(&k) {
			return false, nil
		}
		if k.err != nil {
			return false, k.err
		}
		now.kept = append(now.kept, k)
		now.note(&k)
		if err := l.out.emit(&k, nil); err != nil {
			return false, err
		}
	}
	m.keep(now)
	return len(list) > 0, nil
}

// finder finds the items of a list in the one before, of which most are the same
// and in the same order.
type finder[T comparable] struct {
	listMemory
	items []T
	next  int
}

func (f *finder[T]) find(item T) (kept, bool) {
	ahead := f.items[f.next:min(len(f.items), f.next+ahead)]
	i := slices.Index(ahead, item)
	if i < 0 {
		return kept{}, false
	}
	f.next += i + 1
	return f.kept[f.next-1], true
}

// before is what was kept of the list when the site was executed for it before.
func (m *rangeMemory) before(key uint64) listMemory {
	if m.next < len(m.lists) && m.lists[m.next].key == key {
		return m.lists[m.next]
	}
	return listMemory{}
}

func (m *rangeMemory) keep(now listMemory) {
	if m.next < len(m.lists) {
		m.lists[m.next] = now
	} else {
		m.lists = append(m.lists, now)
	}
	m.next++
}
