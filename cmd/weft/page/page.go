// Package page shows a running agent to a person: what is proven, the nodes and
// how they were in the last hour, each ServicePort with its shares and the way of
// a packet to it, the rules with the template line and the record that each came
// from, and the last transactions with their differences.
//
// It is plain HTML, made when somebody asks and of nothing but what the agent
// keeps anyhow. A script makes it follow the agent, and without it everything is
// still there. Nothing is fetched from elsewhere, and nothing can be changed: the
// header of each answer forbids a browser both, and html/template keeps what a
// cluster's users may name from becoming more than text.
package page

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"

	"weft/render/history"
	"weft/state/status"
)

// Options are what a page is made of.
type Options struct {
	Recorder *status.Recorder
	// Samples are the measurements of the last hour, by node.
	Samples func() map[string][]status.Sample
	History *history.Log
	// Ways tells what the kernel does with new packets to a ServicePort. It may be
	// nil.
	Ways func(ctx context.Context, rules *status.Rules, id string, protocol string) ([]Way, error)
	Log  *slog.Logger
}

// Way is what becomes of a new packet to one address of the node.
type Way struct {
	// To is the address and port that the packet is sent to.
	To string
	// Conditions are those of the packets for which it is so; empty for all.
	Conditions []string
	Ends       []End
}

// End is where a part of the packets goes.
type End struct {
	// Fraction is the part, 0 to 1.
	Fraction float64
	To       string
	Steps    []Step
}

// Step is a rule on the way.
type Step struct {
	Table, Chain string
	Handle       uint64
	Verdict      string
}

//go:embed assets
var assets embed.FS

// page answers requests.
type page struct {
	Options
	views map[string]*template.Template
	// heavy lets one request at a time do what grows with the ruleset.
	heavy sync.Mutex
	// compared are the differences of transactions that were looked at.
	compared map[comparison]compared
}

// Handler answers with the pages.
func Handler(o Options) (http.Handler, error) {
	p := &page{Options: o, views: map[string]*template.Template{}, compared: map[comparison]compared{}}
	for _, name := range []string{"home", "port", "rules", "template", "transaction", "problem"} {
		t, err := template.New("layout.html").Funcs(functions()).ParseFS(assets, "assets/layout.html", "assets/parts.html", "assets/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("read the page %s: %w", name, err)
		}
		p.views[name] = t
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, name := range []string{"style.css", "page.js", "icon.svg"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			http.ServeFileFS(w, r, files, name)
		})
	}
	mux.HandleFunc("GET /{$}", p.home)
	mux.HandleFunc("GET /port", p.port)
	mux.HandleFunc("GET /rules", p.rules)
	mux.HandleFunc("GET /template", p.template)
	mux.HandleFunc("GET /transaction", p.transaction)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		p.problem(w, r, http.StatusNotFound, "There is no such page.")
	})
	return guarded(mux), nil
}

// policy lets a browser use what comes from here, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// frame is what every page has.
type frame struct {
	// Title is that of the page, Here the place in the navigation.
	Title, Here string
	Status      status.Status
	// Follow says that the page changes with the agent.
	Follow  bool
	Content any
}

// show writes a page. It is made whole before the first byte goes out, so that an
// error is one.
func (p *page) show(w http.ResponseWriter, r *http.Request, code int, view string, f frame) {
	var b bytes.Buffer
	if err := p.views[view].Execute(&b, f); err != nil {
		p.Log.Error("page not made", "page", view, "error", err)
		http.Error(w, "this page could not be made, the log has the reason", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // whoever asked may be gone
	}
}

func (p *page) problem(w http.ResponseWriter, r *http.Request, code int, text string) {
	p.show(w, r, code, "problem", frame{Title: "Not found", Status: p.Recorder.Status(), Content: text})
}
