package main

import (
	"fmt"
	"os"
	"time"

	"weft/cmd/weft/config"
	"weft/state"
	"weft/state/probe"
	"weft/state/status"
	cpu "weft/state/usage"
	"weft/state/watch"
)

// proc is where the kernel tells how busy this node is.
const proc = "/proc"

// meters measure nodes as the configuration says.
func (a *agent) meters() ([]watch.Meter, error) {
	m := &a.config.Load().Measure
	var local *cpu.Local
	var meters []watch.Meter
	if m.CPU == config.FromPeers {
		var err error
		if local, err = cpu.NewLocal(proc, a.part("usage")); err != nil {
			return nil, err
		}
	}
	if m.Probe != config.Off {
		o, err := probing(m, local)
		if err != nil {
			return nil, err
		}
		o.Told = func(err error) { a.status.Failed(status.Probe, err) }
		meters = append(meters, reporting{probe.New(o, a.part("probe")), a.status, status.FromProbes})
	}
	if local != nil { // after the probes, since it is fresher
		meters = append(meters, local)
	}
	if m.CPU == config.FromPrometheus {
		o := m.Usage()
		o.Told = func(err error) { a.status.Failed(status.Usage, err) }
		p, err := cpu.NewPrometheus(o, a.part("usage"))
		if err != nil {
			return nil, err
		}
		meters = append(meters, reporting{p, a.status, status.FromUsage})
	}
	return meters, nil
}

// probing says how to probe. local may be nil.
func probing(m *config.Measure, local *cpu.Local) (probe.Options, error) {
	o := probe.Options{
		Mode: probe.Mode(m.Probe), Interval: time.Duration(m.ProbeInterval), Timeout: time.Duration(m.ProbeTimeout),
		Port: uint16(m.ProbePort), Path: m.ProbePath, AskUsage: m.CPU == config.FromPeers,
	}
	if local != nil {
		o.Usage = local.Usage
	}
	if m.ProbeKeyFile == "" {
		return o, nil
	}
	text, err := os.ReadFile(m.ProbeKeyFile)
	if err != nil {
		return o, fmt.Errorf("read the key of probes: %w", err)
	}
	if o.Keys, err = probe.ParseKeys(text); err != nil {
		return o, fmt.Errorf("read the key of probes: %s: %w", m.ProbeKeyFile, err)
	}
	return o, nil
}

// reporting is a meter that tells the status how fresh its measurements are.
type reporting struct {
	watch.Meter
	status *status.Recorder
	source status.Source
}

// Measure implements watch.Meter.
func (r reporting) Measure(nodes []state.Node) {
	r.Meter.Measure(nodes)
	var newest time.Time
	for _, n := range nodes {
		switch {
		case r.source == status.FromProbes && n.Latency != nil && n.Latency.Measured.After(newest):
			newest = n.Latency.Measured
		case r.source == status.FromUsage && n.CPU != nil && n.CPU.Measured.After(newest):
			newest = n.CPU.Measured
		}
	}
	if !newest.IsZero() {
		r.status.Good(r.source, newest)
	}
}
