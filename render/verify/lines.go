package verify

import (
	"fmt"
	"slices"
	"strings"
)

// entry is a finding of either kind, with all places where it is the same.
type entry struct {
	Subject
	text   string
	places []string
	// more counts other findings about the same NodePort.
	more int
}

// Lines are the findings for people: one line for each NodePort, differences first,
// and one for each finding about none.
func (r *Report) Lines() []string {
	var list []*entry
	at := map[string]*entry{}
	for _, f := range r.entries() {
		key := f.key()
		known := at[key]
		switch {
		case known == nil:
			at[key] = f
			list = append(list, f)
		case known.text == f.text && slices.Equal(known.Conditions, f.Conditions):
			known.places = append(known.places, f.places...)
		default:
			known.more++
		}
	}
	lines := make([]string, len(list))
	for i, e := range list {
		lines[i] = e.String()
	}
	return lines
}

func (r *Report) entries() []*entry {
	list := make([]*entry, 0, len(r.Differs)+len(r.Unknown))
	for _, d := range r.Differs {
		list = append(list, &entry{Subject: d.Subject, text: d.text(), places: []string{d.place()}})
	}
	for _, d := range r.Unknown {
		list = append(list, &entry{Subject: d.Subject, text: d.text(), places: []string{d.place()}})
	}
	return list
}

// key is the NodePort that a finding is about, or else what it says.
func (e *entry) key() string {
	if e.ServicePort != "" {
		return fmt.Sprintf("%s %s/%d", e.ServicePort, e.Protocol, e.NodePort)
	}
	return fmt.Sprint(e.Table, e.Chain, e.Handle, e.Conditions, e.text)
}

func (e *entry) String() string {
	line := strings.TrimSpace(e.in(strings.TrimPrefix(joined(e.places), " "))) + ": " + e.text
	if e.more > 0 {
		line += fmt.Sprintf("; and %d more findings", e.more)
	}
	return line
}

// joined says the hooks of one address together.
func joined(places []string) string {
	text, before := "", ""
	for _, p := range slices.Compact(places) {
		address, hook, _ := strings.Cut(p, ", ")
		switch {
		case text == "":
			text = p
		case address == before:
			text += " and " + hook
		default:
			text += "; " + p
		}
		before = address
	}
	return text
}

// maxBrief is how many findings are told where nobody asked for all.
const maxBrief = 10

// Brief is the report in a few lines.
func (r *Report) Brief() string {
	lines := r.Lines()
	text := r.summary()
	for i, line := range lines {
		if i == maxBrief {
			return text + fmt.Sprintf("and %d more lines, which weft verify shows\n", len(lines)-i)
		}
		text += line + "\n"
	}
	return text
}

func (r *Report) summary() string {
	return fmt.Sprintf("%d proven, %d differ, %d cannot be told\n", r.Proven, len(r.Differs), len(r.Unknown))
}
