package weight

import "slices"

// scratch is room for the numbers of one step of one ServicePort: a large cluster
// has thousands, and what each needed for a moment was most of the garbage of an
// idle agent. What it gave is good until it is cleared.
type scratch struct {
	room    []float64
	figures figures
}

func (r *scratch) clear() { r.room = r.room[:0] }

// floats are n zeros.
func (r *scratch) floats(n int) []float64 {
	begin := len(r.room)
	if cap(r.room)-begin < n { // what was given before keeps the room that it has
		r.room, begin = make([]float64, 0, 2*cap(r.room)+n), 0
	}
	r.room = r.room[:begin+n]
	p := r.room[begin : begin+n : begin+n]
	clear(p)
	return p
}

func (r *scratch) clone(v []float64) []float64 {
	p := r.floats(len(v))
	copy(p, v)
	return p
}

// median is that of numbers which stay in their order.
func (r *scratch) median(v []float64) float64 {
	p := r.clone(v)
	slices.Sort(p)
	return middle(p)
}
