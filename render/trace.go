package render

import "fmt"

// trace is where the entries of a list stand in the last output: one part each,
// one behind the other. As long as they are right, they are written again without
// a look at any of them, which with thousands of ServicePorts is most of the work of
// a small change. The zero value is no trace.
type trace struct {
	run     uint64 // of the output
	at      int    // of the first part
	depth   int
	depends dependency // of any entry
}

// trace begins the trace of a list that is about to be written.
func (l *loom) trace() trace {
	if l.out.whole {
		return trace{}
	}
	l.out.close()
	return trace{run: l.run, at: len(l.out.parts), depth: l.depth}
}

// note adds an entry. One that is no part, or with which a residue may begin, leaves
// no trace.
func (t *trace) note(k *kept) {
	if k.text == "" || k.ending != endsWell {
		t.run = 0
	}
	t.depends |= k.depends
}

// stands reports whether the entries are in the last output, and right.
func (l *loom) stands(t trace) bool {
	return t.run != 0 && t.run == l.lastRun && t.depth == l.depth && !l.out.whole && !l.changedSince(t.depends, t.run)
}

// repeat writes parts of the last output again.
func (o *output) repeat(from, n int) error {
	if n == 0 {
		return nil
	}
	o.close()
	for _, part := range o.last.parts[from : from+n] {
		o.size += len(part)
	}
	if o.size > maxOutput {
		return fmt.Errorf("%w: expected at most %d MiB", errTooLarge, maxOutput>>20)
	}
	o.parts = append(o.parts, o.last.parts[from:from+n]...)
	o.entries = append(o.entries, o.last.entries[from:from+n]...)
	return nil
}

// written is what a site wrote for a list of ServicePorts.
type written struct {
	trace
	key  uint64
	list []*ServicePort
}

// shared is how many ServicePorts both lists begin and end with. If their numbers
// matter, those at the end must have the same.
func (w *written) shared(list []*ServicePort, indexed bool) (head, tail int) {
	n := min(len(list), len(w.list))
	for head < n && list[head] == w.list[head] {
		head++
	}
	if indexed && len(list) != len(w.list) {
		return head, 0
	}
	for tail < n-head && list[len(list)-1-tail] == w.list[len(w.list)-1-tail] {
		tail++
	}
	return head, tail
}

// written is what the site wrote when it was executed for ServicePorts before; of
// what does not stand any more, nothing.
func (l *loom) written(m *rangeMemory, key uint64) written {
	if m.next < len(m.written) && m.written[m.next].key == key && l.stands(m.written[m.next].trace) {
		return m.written[m.next]
	}
	return written{}
}

func (m *rangeMemory) write(now written) {
	if m.next < len(m.written) {
		m.written[m.next] = now
	} else {
		m.written = append(m.written, now)
	}
	m.next++
}
