package page

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weft/state/status"
)

// colors is how many colors nodes have.
const colors = 8

// perPage is how many ServicePorts a page lists.
const perPage = 20

// home is the first page.
type home struct {
	Report  status.Report
	Steered int
	Skipped []reason
	Nodes   []nodeView
	Ports   []portView
	// Found is how many ServicePorts the search finds; Query is what is searched.
	Found          int
	Query          string
	Previous, Next string
	Transactions   []change
	Example        *portView
	Events         []status.Event
	Warnings       bool
}

// reason is why ServicePorts are left to kube-proxy.
type reason struct {
	Text  string
	Ports []status.ServicePort
	More  int
}

// Count is how many there are.
func (r reason) Count() int { return len(r.Ports) + r.More }

// nodeView is a node with its plots.
type nodeView struct {
	status.Node
	Self         bool
	Color        int
	Latency, CPU plot
	Report       status.Node // as Latency and CPU are the plots
}

// portView is a ServicePort with what each node gets of it.
type portView struct {
	status.ServicePort
	// Parts are the shares of now. Asked and Arrived are of the connections that
	// came lately, empty if none did.
	Parts, Asked, Arrived []part
}

// part is a node's part of a bar, from its start.
type part struct {
	status.Portion
	Color int
	Start float64
}

func (p *page) home(w http.ResponseWriter, r *http.Request) {
	report := p.Recorder.Report()
	h := &home{Report: report, Query: strings.TrimSpace(r.FormValue("q")), Events: report.Events}
	if r.FormValue("log") == "warnings" {
		h.Warnings = true
		h.Events = slices.DeleteFunc(slices.Clone(h.Events), func(e status.Event) bool { return e.Level == "INFO" })
	}
	slices.Reverse(h.Events)
	palette := paletteOf(report.Nodes)
	h.nodes(report, p.Samples(), palette)
	h.ports(report, palette, pageNumber(r))
	h.Transactions = p.changes()
	p.show(w, r, http.StatusOK, "home", frame{Title: "Overview", Here: "home", Status: report.Status, Follow: true, Content: h})
}

func pageNumber(r *http.Request) int {
	n, err := strconv.Atoi(r.FormValue("page"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// paletteOf gives each node its color.
func paletteOf(nodes []status.Node) map[string]int {
	palette := map[string]int{}
	for i, n := range nodes {
		palette[n.Name] = i % colors
	}
	return palette
}

func (h *home) nodes(report status.Report, samples map[string][]status.Sample, palette map[string]int) {
	now := time.Now().Unix()
	for _, n := range report.Nodes {
		h.Nodes = append(h.Nodes, nodeView{
			Node: n, Report: n, Self: n.Name == report.Node, Color: palette[n.Name],
			Latency: latencyPlot(samples[n.Name], now), CPU: usagePlot(samples[n.Name], now),
		})
	}
}

// ports are the ServicePorts of one page of what the search finds, and the
// reasons of those that are skipped.
func (h *home) ports(report status.Report, palette map[string]int, number int) {
	var found []status.ServicePort
	byReason := map[string][]status.ServicePort{}
	for _, s := range report.ServicePorts {
		if s.Skipped != "" {
			byReason[s.Skipped] = append(byReason[s.Skipped], s)
			continue
		}
		h.Steered++
		if h.matches(s) {
			found = append(found, s)
		}
	}
	h.Found = len(found)
	pages := max(1, (len(found)+perPage-1)/perPage)
	number = min(number, pages)
	for _, s := range found[(number-1)*perPage : min(number*perPage, len(found))] {
		h.Ports = append(h.Ports, viewOf(s, palette))
	}
	if len(h.Ports) > 0 {
		h.Example = &h.Ports[0]
	}
	h.Previous, h.Next = h.link(number-1, pages), h.link(number+1, pages)
	for text, ports := range byReason {
		h.Skipped = append(h.Skipped, newReason(text, ports))
	}
	slices.SortFunc(h.Skipped, func(a, b reason) int {
		if d := b.Count() - a.Count(); d != 0 {
			return d
		}
		return strings.Compare(a.Text, b.Text)
	})
}

func (h *home) matches(s status.ServicePort) bool {
	if h.Query == "" || s.Is(h.Query) {
		return true
	}
	text := s.ID + " " + string(s.Protocol) + "/" + strconv.Itoa(int(s.NodePort)) + " " + string(s.Policy)
	if strings.Contains(strings.ToLower(text), strings.ToLower(h.Query)) {
		return true
	}
	return slices.ContainsFunc(s.Endpoints, func(e status.Endpoint) bool {
		return e.Node == h.Query || strings.HasPrefix(e.Address.String(), h.Query)
	})
}

// link is where another page of the list is; empty if there is none.
func (h *home) link(number, pages int) string {
	if number < 1 || number > pages {
		return ""
	}
	query := url.Values{"page": {strconv.Itoa(number)}}
	if h.Query != "" {
		query.Set("q", h.Query)
	}
	return "/?" + query.Encode() + "#ports"
}

// newReason lists so many ServicePorts as can be taken in.
func newReason(text string, ports []status.ServicePort) reason {
	const most = 30
	r := reason{Text: text, Ports: ports}
	if len(ports) > most {
		r.Ports, r.More = ports[:most], len(ports)-most
	}
	return r
}

// viewOf adds up what each node gets.
func viewOf(s status.ServicePort, palette map[string]int) portView {
	v := portView{ServicePort: s}
	for _, p := range s.Portions() {
		color := colors - 1
		if p.Known {
			color = palette[p.Name]
		}
		v.Parts = append(v.Parts, part{Portion: p, Color: color})
	}
	slices.SortStableFunc(v.Parts, func(a, b part) int { return strings.Compare(a.Name, b.Name) })
	if s.Connections > 0 {
		v.Asked, v.Arrived = slices.Clone(v.Parts), slices.Clone(v.Parts)
		for i, p := range v.Parts {
			v.Asked[i].Share, v.Arrived[i].Share = p.Seen.Asked, p.Seen.Share
		}
	}
	inLine(v.Parts)
	inLine(v.Asked)
	inLine(v.Arrived)
	return v
}

// inLine puts parts behind each other.
func inLine(parts []part) {
	start := 0.0
	for i := range parts {
		parts[i].Start = start
		start = math.Min(start+parts[i].Share, 1)
	}
}
