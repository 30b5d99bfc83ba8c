package status

import (
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"weft/state"
)

// Recorder hears what the parts of an agent do. Its methods may be called from
// any goroutine, on a nil *Recorder too, and return at once.
type Recorder struct {
	node  string
	agent Agent

	mu     sync.Mutex
	parts  map[Part]*part
	inputs map[Source]time.Time
	work   map[Stage]*Work
	held   Held
	state  *state.State
	// written is set when a state of a complete source was written.
	written bool
	// proved is set when rules were proven once.
	proved  bool
	proven  *Rules
	events  ring[Event]
	samples samples
	changes changes
	// counting counts connections; nil if nothing does.
	counting func() Traffic
	news     chan struct{}
}

// part is a loop that promised to move.
type part struct{ by time.Time }

// New is a Recorder for a process that has the parts.
func New(node, command, version string, parts ...Part) *Recorder {
	r := &Recorder{
		node:  node,
		agent: Agent{Command: command, Version: version, PID: os.Getpid(), Started: time.Now(), Parts: parts},
		parts: map[Part]*part{}, inputs: map[Source]time.Time{}, work: map[Stage]*Work{},
		news: make(chan struct{}, 1),
	}
	for _, p := range parts {
		r.parts[p] = &part{by: time.Now().Add(firstMove)}
	}
	return r
}

// firstMove is how long a part may take to its first move.
const firstMove = 2 * time.Minute

// Alive says that a part moves, and that it will say so again within a time: when
// that is over, it hangs.
func (r *Recorder) Alive(p Part, within time.Duration) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts[p] = &part{by: time.Now().Add(within)}
}

// Took says how long a stage took that was not refused.
func (r *Recorder) Took(s Stage, d time.Duration) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.of(s)
	w.Durations.add(d)
	w.LastSeconds, w.Last = d.Seconds(), time.Now()
}

// Failed says that a stage failed, each time that it does; nil says that it is
// good again.
func (r *Recorder) Failed(s Stage, err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.of(s)
	if err == nil {
		w.Error, w.Since = "", time.Time{}
		return
	}
	now := time.Now()
	if w.Error == "" {
		w.Since = now
	}
	w.Failures++
	w.Error, w.LastError, w.Failed = err.Error(), err.Error(), now
}

func (r *Recorder) of(s Stage) *Work {
	w := r.work[s]
	if w == nil {
		w = &Work{Stage: s}
		r.work[s] = w
	}
	return w
}

// Good says until when something that is read is known to be good: its age is
// counted from then.
func (r *Recorder) Good(s Source, until time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inputs[s] = until
}

// Written says what the state file holds. The watcher says it when its source is
// complete.
func (r *Recorder) Written(st *state.State) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.adopt(st)
	r.written = true
	r.changes.written(st.Generation)
	r.changes.proven(r.held.Proven, time.Now())
	r.samples.take(st, time.Now())
	if !slices.Contains(r.agent.Parts, Applier) {
		r.held.Wanted = st.Generation
	}
}

// Wanted says which state the rules are to follow.
func (r *Recorder) Wanted(st *state.State) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.adopt(st)
	r.held.Wanted = st.Generation
	r.samples.take(st, time.Now())
}

// adopt makes a state the newest, and leaves a notice of it.
func (r *Recorder) adopt(st *state.State) {
	r.state = st
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// News has a notice when the newest State is another than before, for one reader.
func (r *Recorder) News() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.news
}

// Loaded says that the kernel took rules, of which nothing is proven yet.
func (r *Recorder) Loaded(generation uint64) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disclaim()
	r.held.Applied, r.held.Since = generation, time.Now()
}

// Proven says that the kernel does what rules should do. It may be said again of
// rules that were loaded once, or before this process.
func (r *Recorder) Proven(rules *Rules) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now, h := time.Now(), &r.held
	if h.Since.IsZero() {
		h.Since = now
	}
	r.proven, r.proved = rules, true
	h.Applied, h.Proven, h.Checked = rules.State.Generation, rules.State.Generation, now
	h.Set, h.Table, h.Pinned, h.LeftOut = rules.Set, rules.Table, rules.Pinned, rules.LeftOut
	h.HeartbeatSeconds = rules.Heartbeat.Seconds()
	r.changes.proven(h.Proven, now)
}

// Disclaim says that it is no longer known what the kernel holds.
func (r *Recorder) Disclaim() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disclaim()
}

func (r *Recorder) disclaim() {
	r.proven, r.held.Proven, r.held.Since, r.held.Checked = nil, 0, time.Time{}, time.Time{}
}

// Repaired says that a change by somebody else was found, and is undone.
func (r *Recorder) Repaired(change string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held.Repairs++
	r.held.Repaired, r.held.RepairedOf = time.Now(), change
}

// Beat says that the heartbeat was renewed.
func (r *Recorder) Beat() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held.Beats++
	r.held.Beat = time.Now()
}

// LetGo says why the heartbeat is not renewed any more; empty says that it is
// renewed again.
func (r *Recorder) LetGo(why string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held.LetGo = why
}

// Status is what is known now. The zero Status is that of a nil Recorder.
func (r *Recorder) Status() Status {
	if r == nil {
		return Status{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	s := Status{
		APIVersion: APIVersion, Kind: "Status", Time: now, Node: r.node, Agent: r.agent, Rules: r.held,
		Events: r.events.list(), State: r.state, Proven: r.proven,
	}
	if r.state != nil && r.state.Node != "" {
		s.Node = r.state.Node
	}
	s.Agent.Parts = slices.Clone(r.agent.Parts)
	s.Rules.LeftOut = maps.Clone(r.held.LeftOut)
	for _, name := range sources() {
		if good, ok := r.inputs[name]; ok {
			s.Inputs = append(s.Inputs, Input{Name: name, Good: good, AgeSeconds: now.Sub(good).Seconds()})
		}
	}
	for _, stage := range Stages() {
		if w := r.work[stage]; w != nil {
			s.Stages = append(s.Stages, w.copied())
		}
	}
	s.Programming, s.Changes = r.changes.took.clone(), r.changes.short()
	s.Health = r.health(now)
	return s
}

func (w *Work) copied() Work {
	c := *w
	c.Durations = w.Durations.clone()
	c.Count = c.Durations.Count
	if c.Count > 0 {
		c.MeanSeconds = c.Durations.Sum / float64(c.Count)
	}
	return c
}

// State is the newest that is known, or nil.
func (r *Recorder) State() *state.State {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}
