package page

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"weft/state/status"
)

// linesPerPage is how many lines of a ruleset are shown at a time.
const linesPerPage = 500

// line is one of a rendered ruleset.
type line struct {
	Number int
	Text   string
	status.Origin
	// At names the template line, Template is where it is shown.
	At, Template string
	// Port is where the record is shown.
	Port string
}

func newLine(rules *status.Rules, number int, text string) line {
	l := line{Number: number, Text: text}
	if rules.Origin != nil {
		l.Origin = rules.Origin(number)
	}
	if l.File != "" {
		l.At = l.File[strings.LastIndexByte(l.File, '/')+1:] + ":" + strconv.Itoa(l.Line)
		l.Template = "/template?" + url.Values{"file": {l.File}}.Encode() + "#L" + strconv.Itoa(l.Line)
	}
	return l
}

// ruleset is the page of the rules.
type ruleset struct {
	Rules          *status.Rules
	Lines          []line
	First, Last    int
	All            int
	Previous, Next string
}

func (p *page) rules(w http.ResponseWriter, r *http.Request) {
	report := p.Recorder.Report()
	rules := report.Proven
	if rules == nil || rules.Text == nil {
		p.problem(w, r, http.StatusNotFound, "No rules are proven now.")
		return
	}
	p.heavy.Lock()
	defer p.heavy.Unlock()
	all := strings.Split(strings.TrimRight(rules.Text(), "\n"), "\n")
	from, err := strconv.Atoi(r.FormValue("from"))
	if err != nil || from < 1 || from > len(all) {
		from = 1
	}
	to := min(from+linesPerPage-1, len(all))
	v := &ruleset{Rules: rules, First: from, Last: to, All: len(all)}
	ports := map[string]string{}
	for _, s := range report.ServicePorts {
		ports[s.ID] = portURL(s)
	}
	for i := from; i <= to; i++ {
		l := newLine(rules, i, all[i-1])
		l.Port = ports[l.ServicePort]
		v.Lines = append(v.Lines, l)
	}
	if from > 1 {
		v.Previous = "/rules?from=" + strconv.Itoa(max(1, from-linesPerPage))
	}
	if to < len(all) {
		v.Next = "/rules?from=" + strconv.Itoa(to+1)
	}
	p.show(w, r, http.StatusOK, "rules", frame{Title: "Rules", Here: "rules", Status: report.Status, Content: v})
}

// templateFile is the page of a template.
type templateFile struct {
	File, Set string
	Lines     []string
}

// template shows a file of the set that the rules were made with. It is asked by
// name of the set alone: no path is ever opened.
func (p *page) template(w http.ResponseWriter, r *http.Request) {
	s := p.Recorder.Status()
	file := r.FormValue("file")
	text := ""
	if s.Proven != nil && s.Proven.Source != nil {
		text = s.Proven.Source(file)
	}
	if text == "" {
		p.problem(w, r, http.StatusNotFound, "The rules that are proven now were made without a template "+file+".")
		return
	}
	v := &templateFile{File: file, Set: s.Proven.Set, Lines: strings.Split(strings.TrimRight(text, "\n"), "\n")}
	p.show(w, r, http.StatusOK, "template", frame{Title: file, Here: "rules", Status: s, Content: v})
}
