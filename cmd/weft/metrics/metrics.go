// Package metrics shows a [status.Recorder] to Prometheus.
//
// Nothing is counted here. A scrape reads the same Status that `weft status` and
// the health checks read, so that an alert and what an operator then sees cannot
// disagree, and an agent that nobody scrapes pays nothing. That is why no metric
// of the library's is kept and updated as the agent goes.
//
// No label grows with endpoints or ServicePorts unless the user asks for it: nodes,
// stages and reasons are few.
package metrics

import (
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weft/state"
	"weft/state/status"
)

// Options say what is shown.
type Options struct {
	// Version, Revision and Go are those of the build.
	Version, Revision, Go string
	// PerEndpoint adds metrics for each endpoint of each ServicePort.
	PerEndpoint bool
}

// Registry is a new registry with all metrics of an agent, of the process and of
// Go.
func Registry(r *status.Recorder, o Options) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		&collector{recorder: r, options: o, table: newTable()},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// Handler answers scrapes.
func Handler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: registry})
}

// collector makes metrics of a Status when asked.
type collector struct {
	recorder *status.Recorder
	options  Options
	table    *table
}

// Describe tells all metrics.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.table {
		out <- d.desc
	}
}

// Collect makes all metrics.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.recorder.Status()
	w := &writer{out: out, table: c.table, now: s.Time}
	w.gauge(buildInfo, 1, c.options.Version, c.options.Revision, c.options.Go)
	w.health(s.Health)
	w.gauge(wantedGeneration, float64(s.Rules.Wanted))
	if slices.Contains(s.Agent.Parts, status.Applier) {
		w.rules(s.Rules)
	}
	if slices.Contains(s.Agent.Parts, status.Watcher) && slices.Contains(s.Agent.Parts, status.Applier) {
		w.histogram(networkProgramming, s.Programming)
	}
	w.stages(s)
	if s.State == nil {
		return
	}
	w.servicePorts(s.State, s.Rules.LeftOut)
	w.nodes(status.Nodes(s.State))
	traffic := c.recorder.Traffic()
	w.traffic(traffic)
	if c.options.PerEndpoint {
		w.endpoints(s.State, traffic)
	}
}

// writer hands metrics out.
type writer struct {
	out   chan<- prometheus.Metric
	table *table
	now   time.Time
}

func (w *writer) gauge(name metric, value float64, labels ...string) {
	w.value(name, prometheus.GaugeValue, value, labels)
}

func (w *writer) counter(name metric, value float64, labels ...string) {
	w.value(name, prometheus.CounterValue, value, labels)
}

func (w *writer) value(name metric, kind prometheus.ValueType, value float64, labels []string) {
	d := w.table[name].desc
	m, err := prometheus.NewConstMetric(d, kind, value, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	w.out <- m
}

func (w *writer) histogram(name metric, h status.Histogram, labels ...string) {
	buckets, below := map[float64]uint64{}, uint64(0)
	for i, bound := range status.Bounds() {
		if i < len(h.Counts) {
			below += h.Counts[i]
		}
		buckets[bound] = below
	}
	d := w.table[name].desc
	m, err := prometheus.NewConstHistogram(d, h.Count, h.Sum, buckets, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	w.out <- m
}

// timestamp shows a time that is there.
func (w *writer) timestamp(name metric, t time.Time, labels ...string) {
	if !t.IsZero() {
		w.gauge(name, float64(t.UnixMilli())/1000, labels...)
	}
}

func (w *writer) flag(name metric, on bool, labels ...string) {
	value := 0.0
	if on {
		value = 1
	}
	w.gauge(name, value, labels...)
}

func (w *writer) health(h status.Health) {
	w.flag(live, h.Live)
	w.flag(ready, h.Ready)
	w.flag(healthy, h.Healthy)
}

func (w *writer) rules(h status.Held) {
	w.gauge(appliedGeneration, float64(h.Applied))
	w.gauge(provenGeneration, float64(h.Proven))
	w.timestamp(lastProof, h.Checked)
	w.flag(pinned, h.Pinned)
	w.flag(letGo, h.LetGo != "")
	w.counter(repairs, float64(h.Repairs))
	w.counter(heartbeats, float64(h.Beats))
	w.timestamp(lastHeartbeat, h.Beat)
	w.gauge(heartbeatTimeout, h.HeartbeatSeconds)
}

func (w *writer) stages(s status.Status) {
	for _, stage := range s.Stages {
		name := string(stage.Stage)
		if stage.Count > 0 {
			w.histogram(stageDuration, stage.Durations, name)
		}
		w.counter(stageFailures, float64(stage.Failures), name)
		w.flag(stageFailing, stage.Error != "", name)
	}
	for _, in := range s.Inputs {
		w.gauge(inputAge, in.AgeSeconds, string(in.Name))
	}
}

// maxReasons bounds the reasons that get a label of their own, should a source
// ever make many.
const maxReasons = 20

func (w *writer) servicePorts(st *state.State, leftOut map[string]string) {
	steered, reasons := 0, map[string]int{}
	endpoints := 0
	for _, p := range st.ServicePorts {
		reason := p.Skipped
		if _, out := leftOut[p.ID()]; out && p.Steered() {
			reason = "its template failed"
		}
		if reason == "" {
			steered++
			endpoints += len(p.Endpoints)
			continue
		}
		if reasons[reason] == 0 && len(reasons) >= maxReasons {
			reason = "other"
		}
		reasons[reason]++
	}
	w.gauge(steeredServicePorts, float64(steered))
	w.gauge(steeredEndpoints, float64(endpoints))
	for reason, n := range reasons {
		w.gauge(skippedServicePorts, float64(n), reason)
	}
}

func (w *writer) nodes(nodes []status.Node) {
	for _, n := range nodes {
		if n.Latency != nil {
			w.gauge(nodeLatency, n.Latency.Seconds, n.Name)
			w.gauge(nodeMeasurementAge, w.now.Sub(n.Latency.Measured).Seconds(), n.Name, "latency")
		}
		if n.CPU != nil {
			w.gauge(nodeCPU, n.CPU.Ratio, n.Name)
			w.gauge(nodeMeasurementAge, w.now.Sub(n.CPU.Measured).Seconds(), n.Name, "cpu")
		}
		if n.Factor != nil {
			w.gauge(nodeFactor, *n.Factor, n.Name)
		}
		w.gauge(nodeShare, n.Share, n.Name)
		w.flag(nodeUnreachable, !n.Unreachable.IsZero(), n.Name)
	}
}

// traffic is shown if connections are counted at all. Counters stand still while
// they are not.
func (w *writer) traffic(t *status.Traffic) {
	if t == nil {
		return
	}
	w.flag(trafficCounted, t.Unknown == "")
	for name, a := range t.Nodes {
		w.counter(nodeConnections, float64(a.Connections), name)
		w.counter(nodeAskedConnections, a.Asked, name)
	}
}

func (w *writer) endpoints(st *state.State, t *status.Traffic) {
	for _, p := range st.ServicePorts {
		if !p.Steered() {
			continue
		}
		for _, e := range p.Endpoints {
			labels := []string{p.ID(), string(p.Protocol), e.AddrPort().String(), e.Node}
			w.gauge(endpointShare, e.Share, labels...)
			if t == nil {
				continue
			}
			a := t.Totals[status.Place{Protocol: p.Protocol, NodePort: p.NodePort, Endpoint: e.AddrPort()}]
			w.counter(endpointConnections, float64(a.Connections), labels...)
			w.counter(endpointAskedConnections, a.Asked, labels...)
		}
	}
}

// Docs lists all metrics that are weft's own, by subject.
func Docs() []Doc {
	var docs []Doc
	for _, d := range newTable() {
		docs = append(docs, d.Doc)
	}
	return docs
}

// Names lists the names of the same, sorted.
func Names() []string {
	var names []string
	for _, d := range Docs() {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}
