package serve

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"weft/state/status"
)

// everything is what the agent answers.
func (s *Server) everything() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.health("live", func(h status.Health) bool { return h.Live }))
	mux.HandleFunc("GET /readyz", s.health("ready", func(h status.Health) bool { return h.Ready }))
	mux.HandleFunc("GET /healthz", s.health("", func(h status.Health) bool { return h.Healthy }))
	mux.HandleFunc("GET "+StatusPath, s.report)
	if s.Metrics != nil {
		mux.Handle("GET /metrics", s.Metrics)
	}
	if s.Page != nil {
		mux.Handle("GET /", s.Page)
	}
	return mux
}

// health answers 200 and ok, or 503 and what is wrong, one reason a line: those
// that matter to the question, or all of them.
func (s *Server) health(about string, good func(status.Health) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := s.Recorder.Health()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if good(h) {
			fmt.Fprintln(w, "ok")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		for _, reason := range h.Reasons {
			if about == "" || reason.Fails == about {
				fmt.Fprintln(w, sentence(reason, time.Now()))
			}
		}
	}
}

// sentence is a reason on one line.
func sentence(r status.Reason, now time.Time) string {
	text := strings.Join(strings.Fields(r.Message), " ")
	if !r.Since.IsZero() {
		text += fmt.Sprintf(" (for %s)", now.Sub(r.Since).Round(time.Second))
	}
	return text
}

// StatusPath is where the [status.Report] is, as JSON.
const StatusPath = "/status"

func (s *Server) report(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := json.NewEncoder(w).Encode(s.Recorder.Report()); err != nil {
		s.Log.Debug("status not sent", "error", err) // whoever asked is gone
	}
}

// named refuses requests that call the agent by a name that is not its own.
func (s *Server) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.Trim(host, "[]")
		_, err := netip.ParseAddr(host)
		if err != nil && !strings.EqualFold(host, "localhost") && !strings.EqualFold(host, s.Node) {
			http.Error(w, "this agent answers to an address, localhost or the name of its node", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
