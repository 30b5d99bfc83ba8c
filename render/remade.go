package render

import (
	"cmp"
	"slices"
	"strings"
)

// Remade are the lines of templates of which the text is made anew for all
// ServicePorts when one changes: what they write may depend on more than the
// ServicePort in hand, or more is done with it than to write it. There are none in
// a set that costs as much as the change. Of a Result that did not come from a Renderer it knows nothing.
func (r *Result) Remade() []Place {
	places := slices.Clone(r.open)
	begin, part, end := 0, -1, 0 // of the line, and of the part that holds its first word
	for i, line := range strings.Split(r.Text(), "\n") {
		word := begin + len(line) - len(strings.TrimLeft(line, " \t"))
		for end <= word && part < len(r.Parts)-1 {
			part++
			end += len(r.Parts[part])
		}
		if o := r.Origin(i + 1); o.ServicePort != nil && part >= 0 && !r.isEntry(part) {
			places = append(places, Place{o.File, o.Line})
		}
		begin += len(line) + 1
	}
	slices.SortFunc(places, func(a, b Place) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	return slices.Compact(places)
}

// isEntry reports whether a part was written for one ServicePort.
func (r *Result) isEntry(part int) bool { return r.entries != nil && r.entries[part] }

// open are the places whose entries depend on other ServicePorts.
func (l *loom) open() (places []Place) {
	for i := range l.ranges {
		if l.ranges[i].others {
			places = append(places, l.set.sites[i].place)
		}
	}
	return places
}
