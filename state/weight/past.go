package weight

import "time"

// past is the course of a number that changes in steps, as its integral at the
// times of the changes: the mean over any time is then a difference of two.
type past struct {
	marks []mark
	value float64 // since the last mark
}

type mark struct {
	at   time.Time
	area float64 // up to then
}

// maxMarks go back for some minutes: there is one for each rule change and slow
// step. CPU use is never older than one, see cpuExpiry.
const maxMarks = 64

// note says that the number is value from now on.
func (p *past) note(now time.Time, value float64) {
	if n := len(p.marks); n > 0 && (value == p.value || !now.After(p.marks[n-1].at)) {
		p.value = value
		return
	}
	area := 0.0
	if len(p.marks) > 0 {
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
func (p *past) mean(from, to time.Time) float64 {
	if len(p.marks) == 0 {
		return 0
	}
	if first := p.marks[0].at; from.Before(first) {
		from = first
	}
	d := to.Sub(from).Seconds()
	if d <= 0 {
		to, d = from.Add(time.Millisecond), time.Millisecond.Seconds()
	}
	return (p.integral(to) - p.integral(from)) / d
}

// integral up to a time that is not before the first mark.
func (p *past) integral(t time.Time) float64 {
	i := len(p.marks) - 1
	for i > 0 && t.Before(p.marks[i].at) {
		i--
	}
	m, slope := p.marks[i], p.value
	if i+1 < len(p.marks) {
		next := p.marks[i+1]
		slope = (next.area - m.area) / next.at.Sub(m.at).Seconds()
	}
	return m.area + slope*t.Sub(m.at).Seconds()
}
