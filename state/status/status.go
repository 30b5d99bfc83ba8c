// Package status is what a running weft knows about itself: which rules are
// wanted and which are proven, how old its inputs are, what failed at which
// stage and since when, and whether its loops move.
//
// Both halves of weft report into one [Recorder] as they go, and metrics, health,
// `weft status`, systemd and the page all read the [Status] that it makes. So they
// cannot disagree, and neither half knows who looks. Whoever reports never waits
// and is never refused; a nil *Recorder hears nothing, so that a loop under test
// or a one-shot command needs none.
//
// Reporting costs a few words of memory. All that takes work (what each node's
// share is, which template line wrote a rule) is done when somebody looks.
//
// It is beside package state and not in it, since a State is about the cluster
// and outlives the process, and a Status is about the process.
package status

import (
	"time"

	"weft/state"
)

// APIVersion is the version of [Status] as it is printed.
const APIVersion = "weft/v1"

// Stage is a step of the way from the source to the kernel, or what keeps the
// kernel so.
type Stage string

// The stages, in the order of the way.
const (
	Config    Stage = "config"    // reading the configuration
	Gather    Stage = "gather"    // asking the source what there is
	Probe     Stage = "probe"     // measuring the latency of nodes
	Usage     Stage = "usage"     // reading the CPU use of nodes
	Weigh     Stage = "weigh"     // shares of measurements
	Write     Stage = "write"     // the state file, written
	Read      Stage = "read"      // the state file, read
	Templates Stage = "templates" // reading the template set and its vars
	Render    Stage = "render"    // templates and lint
	Plan      Stage = "plan"      // the smallest transaction
	Apply     Stage = "apply"     // nft
	Verify    Stage = "verify"    // proving what the kernel holds
	Heartbeat Stage = "heartbeat" // renewing the heartbeat
	Listen    Stage = "listen"    // hearing of changes by others
	Flows     Stage = "flows"     // ending stale UDP flows
	Pin       Stage = "pin"       // reading what is pinned
	History   Stage = "history"   // keeping transactions
)

// Stages lists all stages in their order.
func Stages() []Stage {
	return []Stage{
		Config, Gather, Probe, Usage, Weigh, Write, Read, Templates, Render, Plan, Apply, Verify, Heartbeat, Listen, Flows, Pin, History,
	}
}

// Source is something that is read.
type Source string

// The sources.
const (
	FromConfig    Source = "configuration"
	FromSource    Source = "source"
	FromProbes    Source = "probes"
	FromUsage     Source = "usage"
	FromState     Source = "state"
	FromTemplates Source = "templates"
)

func sources() []Source {
	return []Source{FromConfig, FromSource, FromProbes, FromUsage, FromState, FromTemplates}
}

// Part is one of the halves of weft.
type Part string

// The parts. `weft run` has both.
const (
	Watcher Part = "watcher"
	Applier Part = "applier"
)

// Rules are rules that the kernel took. They share what they point to with the
// loop that loaded them: nobody changes it.
type Rules struct {
	// State is what they were made of.
	State *state.State
	// Set is the template set, Table the name of the tables.
	Set, Table string
	// Text is the rendered ruleset. It may be nil, as may Origin.
	Text func() string
	// Origin says where a line of Text came from; the first is 1. The first
	// question takes as long as rendering.
	Origin func(line int) Origin
	// Source is the text of a template file that an Origin names. It may be nil.
	Source func(file string) string
	// LeftOut are ServicePorts without rules because their template failed: the
	// reason by ID.
	LeftOut map[string]string
	// Heartbeat is how long they work without a live weft; 0 is for ever.
	Heartbeat time.Duration
	// Pinned is set if they stay whatever the state says.
	Pinned bool
}

// Origin is where a line of a ruleset came from.
type Origin struct {
	// File and Line are those of the template; File is empty if that is not known.
	File string
	Line int
	// ServicePort is the ID of the record of the state, or empty.
	ServicePort string
}

// Status is the agent at one moment. Its names are stable: scripts read it.
type Status struct {
	APIVersion string    `json:"apiVersion" yaml:"apiVersion"`
	Kind       string    `json:"kind" yaml:"kind"`
	Time       time.Time `json:"time" yaml:"time"`
	Node       string    `json:"node" yaml:"node"`
	Agent      Agent     `json:"agent" yaml:"agent"`
	Health     Health    `json:"health" yaml:"health"`
	Rules      Held      `json:"rules" yaml:"rules"`
	Inputs     []Input   `json:"inputs" yaml:"inputs"`
	Stages     []Work    `json:"stages" yaml:"stages"`
	Events     []Event   `json:"events,omitempty" yaml:"events,omitempty"`

	// Programming is how long changes of endpoints took, from what led to them to
	// the proof of the rules that follow. Only an agent that has both parts can
	// tell.
	Programming Histogram `json:"-" yaml:"-"`
	// Changes is the same in short; absent if there was none.
	Changes *Changes `json:"changes,omitempty" yaml:"changes,omitempty"`
	// State is the newest that is known, Proven what is proven now; each may be
	// nil.
	State  *state.State `json:"-" yaml:"-"`
	Proven *Rules       `json:"-" yaml:"-"`
}

// Agent is the process.
type Agent struct {
	Command string    `json:"command" yaml:"command"`
	Version string    `json:"version" yaml:"version"`
	PID     int       `json:"pid" yaml:"pid"`
	Started time.Time `json:"started" yaml:"started"`
	Parts   []Part    `json:"parts" yaml:"parts"`
}

// Held is what is wanted, and what the kernel holds.
type Held struct {
	// The generations of the state: the newest that is wanted, the one that nft
	// took last, and the one that is proven. 0 is none.
	Wanted  uint64 `json:"wanted" yaml:"wanted"`
	Applied uint64 `json:"applied" yaml:"applied"`
	Proven  uint64 `json:"proven" yaml:"proven"`
	// Since is when the rules that are proven now were loaded, Checked when they
	// were proven last; zero if none are.
	Since   time.Time `json:"since,omitzero" yaml:"since,omitempty"`
	Checked time.Time `json:"checked,omitzero" yaml:"checked,omitempty"`
	Set     string    `json:"set,omitempty" yaml:"set,omitempty"`
	Table   string    `json:"table,omitempty" yaml:"table,omitempty"`
	Pinned  bool      `json:"pinned,omitempty" yaml:"pinned,omitempty"`
	// LetGo says why the heartbeat is not renewed; empty while it is.
	LetGo string `json:"letGo,omitempty" yaml:"letGo,omitempty"`
	// HeartbeatSeconds is how long the rules work without a live weft; 0 is for
	// ever. Beat is the last renewal.
	HeartbeatSeconds float64   `json:"heartbeatSeconds" yaml:"heartbeatSeconds"`
	Beat             time.Time `json:"beat,omitzero" yaml:"beat,omitempty"`
	Beats            uint64    `json:"beats" yaml:"beats"`
	// Repairs counts the times that somebody else's change was undone.
	Repairs    uint64    `json:"repairs" yaml:"repairs"`
	Repaired   time.Time `json:"repaired,omitzero" yaml:"repaired,omitempty"`
	RepairedOf string    `json:"repairedOf,omitempty" yaml:"repairedOf,omitempty"`
	// LeftOut are ServicePorts whose template failed, with the reason.
	LeftOut map[string]string `json:"leftOut,omitempty" yaml:"leftOut,omitempty"`
}

// Input is something that was read, and until when it is known to be good.
type Input struct {
	Name Source    `json:"name" yaml:"name"`
	Good time.Time `json:"good" yaml:"good"`
	// AgeSeconds is since then.
	AgeSeconds float64 `json:"ageSeconds" yaml:"ageSeconds"`
}

// Work is what a stage did since the start.
type Work struct {
	Stage Stage `json:"stage" yaml:"stage"`
	// Durations of the times that were measured.
	Durations Histogram `json:"-" yaml:"-"`
	Count     uint64    `json:"count" yaml:"count"`
	// LastSeconds is how long the last time took, MeanSeconds all of them.
	LastSeconds float64   `json:"lastSeconds" yaml:"lastSeconds"`
	MeanSeconds float64   `json:"meanSeconds" yaml:"meanSeconds"`
	Last        time.Time `json:"last,omitzero" yaml:"last,omitempty"`
	Failures    uint64    `json:"failures" yaml:"failures"`
	// Error is what is wrong now, since Since; empty if nothing is.
	Error string    `json:"error,omitempty" yaml:"error,omitempty"`
	Since time.Time `json:"since,omitzero" yaml:"since,omitempty"`
	// LastError is the last that was wrong, even if it is over.
	LastError string    `json:"lastError,omitempty" yaml:"lastError,omitempty"`
	Failed    time.Time `json:"failed,omitzero" yaml:"failed,omitempty"`
}

// Changes are those of endpoints whose rules were proven, since the start.
type Changes struct {
	Count uint64 `json:"count" yaml:"count"`
	// LastSeconds is how long the last took, MeanSeconds all of them.
	LastSeconds float64 `json:"lastSeconds" yaml:"lastSeconds"`
	MeanSeconds float64 `json:"meanSeconds" yaml:"meanSeconds"`
}

// Health is what health checks ask, and why the answer is no.
type Health struct {
	// Live: every loop moves. Ready: the first state is complete and the first
	// rules were proven. Healthy: both, and nothing is wrong now.
	Live    bool `json:"live" yaml:"live"`
	Ready   bool `json:"ready" yaml:"ready"`
	Healthy bool `json:"healthy" yaml:"healthy"`
	// Reasons are all that is wrong, worst first.
	Reasons []Reason `json:"reasons,omitempty" yaml:"reasons,omitempty"`
}

// Reason is one thing that is wrong.
type Reason struct {
	// Fails is which answers it makes no: live, ready or healthy.
	Fails   string    `json:"fails" yaml:"fails"`
	Message string    `json:"message" yaml:"message"`
	Since   time.Time `json:"since,omitzero" yaml:"since,omitempty"`
}
