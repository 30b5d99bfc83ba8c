package weight

import (
	"math"
	"time"
)

// past is the course of a number that changes in steps, as its integral at the
// times of the changes: the mean over any time is then a difference of two.
type past struct {
	marks []mark
	value float64 // since the last mark
}

// mark is small, since there is a row of them for each node of each ServicePort.
type mark struct {
	at   int64   // nanoseconds
	area float64 // up to then
}

// maxMarks go back for some minutes: there is one for each rule change and slow
// step. CPU use is never older than one, see cpuExpiry.
const maxMarks = 64

// leastNote is how far the number must be from what it was to be noted. It is a
// logarithm of a share: so little says nothing about how busy a node is.
const leastNote = 1e-4

// note says that the number is value from now on.
func (p *past) note(at time.Time, value float64) {
	now, n := at.UnixNano(), len(p.marks)
	switch {
	case n > 0 && now <= p.marks[n-1].at:
		p.value = value
		return
	case n > 0 && math.Abs(value-p.value) < leastNote:
		return
	}
	area := 0.0
	if n > 0 {
		area = p.integral(now)
	}
	if len(p.marks) == maxMarks {
		p.marks = append(p.marks[:0], p.marks[maxMarks/2:]...)
	}
	p.marks = append(p.marks, mark{now, area})
	p.value = value
}

// mean between two times, as far as they are known; of no time, the value then.
// It is 0 if nothing is known.
func (p *past) mean(begin, end time.Time) float64 {
	if len(p.marks) == 0 {
		return 0
	}
	from, to := max(begin.UnixNano(), p.marks[0].at), end.UnixNano()
	if to <= from {
		to = from + time.Millisecond.Nanoseconds()
	}
	return (p.integral(to) - p.integral(from)) / time.Duration(to-from).Seconds()
}

// integral up to a time that is not before the first mark.
func (p *past) integral(t int64) float64 {
	i := len(p.marks) - 1
	for i > 0 && t < p.marks[i].at {
		i--
	}
	m, slope := p.marks[i], p.value
	if i+1 < len(p.marks) {
		next := p.marks[i+1]
		slope = (next.area - m.area) / time.Duration(next.at-m.at).Seconds()
	}
	return m.area + slope*time.Duration(t-m.at).Seconds()
}
