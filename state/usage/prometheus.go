package usage

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	prom "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"weft/state"
)

// The defaults of Options.
const (
	// DefaultQuery is the part of all cores that is not idle, and DefaultAge how
	// old the last sample behind it is. irate looks at the last two samples only,
	// so that what it says is no older than it must be. The inner sum is kept
	// apart for every job: two that scrape the same exporter would double it.
	DefaultQuery = `1 - avg by (instance) (sum without (mode) (irate(node_cpu_seconds_total{mode=~"idle|iowait"}[2m])))`
	DefaultAge   = `time() - max by (instance) (timestamp(node_cpu_seconds_total{mode="idle"}))`
	DefaultCores = `count by (instance) (group by (instance, cpu) (node_cpu_seconds_total{mode="idle"}))`

	DefaultInterval = 10 * time.Second
	DefaultTimeout  = 5 * time.Second
)

// expiry is the age from which on a sample is not taken: Prometheus goes on to
// answer for a node that is gone for as long as the range of the query.
const expiry = time.Minute

// Options say where Prometheus is and what to ask. Empty queries are left out; all
// but Query may be.
type Options struct {
	// URL is that of Prometheus, such as https://prometheus.monitoring:9090, or of
	// anything that answers its API.
	URL string
	// Query is PromQL that gives, for each node, a number from 0 for idle to 1 for
	// busy. Age is how many seconds ago the node was scraped; without it, every
	// sample counts as fresh. Cores is how many cores the node has.
	Query, Age, Cores string
	// Label says which label names the node, by its name or its address, with a
	// port or without. Empty tries node, kubernetes_node, nodename, instance.
	Label string
	// Interval is the time between two queries, Timeout how long one may take.
	Interval, Timeout time.Duration
	// Client has the credentials and the TLS configuration. Files that it names
	// are read again when they change.
	Client config.HTTPClientConfig
	// Told hears how each query went; nil is well. It may be nil itself.
	Told func(error)
}

// Prometheus is the CPU use of nodes as a Prometheus knows it. It is a meter of the
// watcher. Make it by [NewPrometheus].
type Prometheus struct {
	api     prom.API
	options Options
	query   string
	log     *slog.Logger
	close   func()
	expiry  time.Duration // the constant, but for tests

	mu    sync.Mutex
	nodes []state.Node // that matter
	known map[string]reading
	wake  chan struct{}

	said   string // the complaint that was logged last; Run's alone
	saidAt time.Time
}

// NewPrometheus checks the options, and asks nothing yet.
func NewPrometheus(o Options, log *slog.Logger) (*Prometheus, error) {
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("got %q as the URL of Prometheus, expected one such as http://10.0.0.1:9090", o.URL)
	}
	client, err := config.NewClientFromConfig(o.Client, "weft", config.WithKeepAlivesDisabled(), config.WithUserAgent("weft"))
	if err != nil {
		return nil, fmt.Errorf("set up the client of Prometheus: %w", err)
	}
	p, err := newPrometheus(o, client.Transport, log)
	if err != nil {
		return nil, err
	}
	p.close = client.CloseIdleConnections
	return p, nil
}

// newPrometheus asks through the transport.
func newPrometheus(o Options, through http.RoundTripper, log *slog.Logger) (*Prometheus, error) {
	c, err := api.NewClient(api.Config{Address: o.URL, RoundTripper: through})
	if err != nil {
		return nil, fmt.Errorf("set up the client of Prometheus: %w", err)
	}
	return &Prometheus{
		api: prom.NewAPI(c), options: o, query: combine(o), log: log, close: func() {}, expiry: expiry,
		known: map[string]reading{}, wake: make(chan struct{}, 1),
	}, nil
}

// kindLabel tells the parts of a combined query apart.
const kindLabel = "weft"

// combine makes one query of several, so that they are answered together and for
// the same moment.
func combine(o Options) string {
	var parts []string
	for _, part := range []struct{ kind, query string }{{"ratio", o.Query}, {"age", o.Age}, {"cores", o.Cores}} {
		if part.query != "" {
			parts = append(parts, fmt.Sprintf(`label_replace(%s, %q, %q, "", "")`, part.query, kindLabel, part.kind))
		}
	}
	return strings.Join(parts, " or ")
}

// Aim takes the nodes that serve something in st, and the own one, to be what there
// is to know about. The first time, it asks at once.
func (p *Prometheus) Aim(st *state.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nodes == nil {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	p.nodes = serving(st)
}

// serving are the nodes with endpoints of steered ServicePorts, and the own one.
func serving(st *state.State) []state.Node {
	serves := map[string]bool{st.Node: true}
	for _, p := range st.ServicePorts {
		for _, e := range p.Endpoints {
			serves[e.Node] = serves[e.Node] || p.Steered()
		}
	}
	return slices.DeleteFunc(slices.Clone(st.Nodes), func(n state.Node) bool { return !serves[n.Name] })
}

// Run asks until the context ends. It has nothing that cannot wait.
func (p *Prometheus) Run(ctx context.Context, _ func()) error {
	defer p.close()
	ticker := time.NewTicker(p.options.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		case <-ticker.C:
		}
		err := p.ask(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.complain(err)
		if p.options.Told != nil {
			p.options.Told(err)
		}
	}
}

// ask makes one query and keeps its answer. After an error what was known stays,
// until it is too old. The error tells of nodes that it has no answer for, too.
func (p *Prometheus) ask(ctx context.Context) error {
	p.mu.Lock()
	nodes := p.nodes
	p.mu.Unlock()
	if len(nodes) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	value, warnings, _, err := p.api.Query(ctx, p.query, time.Time{})
	now := time.Now()
	if err != nil {
		return fmt.Errorf("query %s: %w", p.options.URL, err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return fmt.Errorf("query %s: got a %s, expected a vector with a value for each node", p.options.URL, value.Type())
	}
	readings, err := read(vector, nodes, reader{p.options.Label, p.options.Age != "", p.expiry, now})
	if err != nil && len(warnings) > 0 {
		err = fmt.Errorf("%w; Prometheus warns: %s", err, strings.Join(warnings, "; "))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, r := range readings {
		if before, ok := p.known[name]; ok {
			r = r.after(before)
		}
		readings[name] = r
	}
	p.known = readings
	return err
}

// complain logs what is wrong once, something else a minute later at the earliest,
// since errors may differ in a port alone, and once that nothing is any more.
func (p *Prometheus) complain(err error) {
	now := time.Now()
	switch {
	case err == nil && p.said != "":
		p.log.Info("Prometheus knows the CPU use of all nodes again")
		p.said = ""
	case err != nil && err.Error() != p.said && (p.said == "" || now.Sub(p.saidAt) >= time.Minute):
		p.log.Warn("CPU use of nodes not known", "error", err)
		p.said, p.saidAt = err.Error(), now
	}
}

// Measure enters what is known about the nodes into them.
func (p *Prometheus) Measure(nodes []state.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for i := range nodes {
		r, ok := p.known[nodes[i].Name]
		if !ok {
			continue
		}
		if r.cores > 0 {
			nodes[i].Cores = r.cores
		}
		if age := now.Sub(r.measured); age <= p.expiry {
			nodes[i].CPU = &state.CPU{Ratio: r.ratio, Measured: r.measured.UTC().Truncate(time.Millisecond), Source: "prometheus"}
		}
	}
}
