package page

import (
	"net/http"
	"strings"

	"weft/state"
	"weft/state/status"
)

// port is the page of a ServicePort.
type port struct {
	PortView portView
	status.ServicePort
	// Traffic is nil if connections are not counted.
	Traffic *status.Traffic
	Rows    []row
	Factors []state.Factor
	// Lines are the rules that its record wrote, Rules says that any are known.
	Lines []line
	// Record is its document of the state file.
	Record string
	Ways   []Way
	// Unknown says why the kernel's way cannot be told.
	Unknown string
}

// row is an endpoint.
type row struct {
	status.Endpoint
	Color int
}

// maxLines bounds the rules that a page shows.
const maxLines = 400

func (p *page) port(w http.ResponseWriter, r *http.Request) {
	report := p.Recorder.Report()
	id, protocol := r.FormValue("id"), r.FormValue("protocol")
	for _, s := range report.ServicePorts {
		if s.ID != id || string(s.Protocol) != protocol {
			continue
		}
		palette := paletteOf(report.Nodes)
		v := &port{ServicePort: s, PortView: viewOf(s, palette), Traffic: report.Traffic}
		for _, e := range s.Endpoints {
			v.Rows = append(v.Rows, row{e, palette[e.Node]})
		}
		v.record(report.State, id, protocol)
		p.heavy.Lock()
		defer p.heavy.Unlock()
		v.rules(report.Proven)
		v.ways(p, r, report.Proven)
		p.show(w, r, http.StatusOK, "port", frame{Title: s.ID, Status: report.Status, Follow: true, Content: v})
		return
	}
	p.problem(w, r, http.StatusNotFound, "weft knows no ServicePort "+id+" with the protocol "+protocol+".")
}

// record is the document of the state file, and what its shares were made of.
func (v *port) record(st *state.State, id, protocol string) {
	for _, sp := range st.ServicePorts {
		if sp.ID() != id || string(sp.Protocol) != protocol {
			continue
		}
		v.Factors = sp.Factors
		only := state.State{Node: st.Node, Generation: st.Generation, Addresses: st.Addresses, ServicePorts: []*state.ServicePort{sp}}
		text, err := state.Encode(&only)
		if err != nil {
			v.Record = err.Error()
			return
		}
		_, v.Record, _ = strings.Cut(string(text), "\n---\n")
		return
	}
}

// rules are the lines that the record wrote.
func (v *port) rules(rules *status.Rules) {
	if rules == nil || rules.Text == nil {
		return
	}
	number := 0
	for text := range strings.SplitSeq(rules.Text(), "\n") {
		number++
		l := newLine(rules, number, text)
		if l.ServicePort == v.ID && len(v.Lines) < maxLines && strings.TrimSpace(text) != "" {
			v.Lines = append(v.Lines, l)
		}
	}
}

func (v *port) ways(p *page, r *http.Request, rules *status.Rules) {
	if p.Ways == nil || rules == nil || v.Skipped != "" {
		return
	}
	ways, err := p.Ways(r.Context(), rules, v.ID, string(v.Protocol))
	if err != nil {
		v.Unknown = err.Error()
		return
	}
	v.Ways = ways
}
