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

// sharedEnds is how many items both lists begin and end with. If their numbers matter,
// those at the end must have the same.
func sharedEnds[T comparable](before, now []T, indexed bool) (head, tail int) {
	n := min(len(before), len(now))
	for head < n && before[head] == now[head] {
		head++
	}
	if indexed && len(before) != len(now) {
		return head, 0
	}
	for tail < n-head && before[len(before)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	return head, tail
}
