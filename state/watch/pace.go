package watch

import "time"

// pace decides when the next pass is due.
type pace struct {
	min, max time.Duration

	last          time.Time // when the last pass ended that wrote something
	routine       time.Time // when one is due though nothing changed
	first, latest time.Time // of the changes since the last pass; zero without any
}

func (p *pace) changed(now time.Time) {
	if p.first.IsZero() {
		p.first = now
	}
	p.latest = now
}

// isPending reports whether something changed since the last pass.
func (p *pace) isPending() bool { return !p.first.IsZero() }

func (p *pace) passed(now time.Time, wrote bool, wait time.Duration) {
	if wrote {
		p.last = now
	}
	p.routine, p.first, p.latest = now.Add(wait), time.Time{}, time.Time{}
}

// due is now or earlier for a change after a pause, and the end of the burst,
// as far as it is known, for one inside a burst.
func (p *pace) due() time.Time {
	if !p.isPending() {
		return p.routine
	}
	if p.first.Sub(p.last) >= p.min {
		return p.first
	}
	return earliest(p.latest.Add(p.min), p.first.Add(p.max), p.routine)
}

func earliest(times ...time.Time) time.Time {
	first := times[0]
	for _, t := range times[1:] {
		if t.Before(first) {
			first = t
		}
	}
	return first
}
