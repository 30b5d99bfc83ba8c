package status

import (
	"fmt"
	"time"
)

// The answers that a [Reason] makes no.
const (
	NotLive    = "live"
	NotReady   = "ready"
	NotHealthy = "healthy"
)

// Health is what health checks ask. It costs less than the whole Status.
func (r *Recorder) Health() Health {
	if r == nil {
		return Health{Live: true, Ready: true, Healthy: true}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health(time.Now())
}

func (r *Recorder) health(now time.Time) Health {
	reasons := r.hanging(now)
	live := len(reasons) == 0
	unready := r.unready()
	reasons = append(append(reasons, unready...), r.wrong()...)
	return Health{Live: live, Ready: len(unready) == 0, Healthy: len(reasons) == 0, Reasons: reasons}
}

// hanging are the parts that did not move when they should have.
func (r *Recorder) hanging(now time.Time) []Reason {
	var reasons []Reason
	for _, name := range []Part{Watcher, Applier} {
		if p := r.parts[name]; p != nil && now.After(p.by) {
			reasons = append(reasons, Reason{NotLive, fmt.Sprintf("the %s does not move", name), p.by})
		}
	}
	return reasons
}

// unready is what has not happened yet since the start.
func (r *Recorder) unready() []Reason {
	var reasons []Reason
	if r.parts[Watcher] != nil && !r.written {
		reasons = append(reasons, Reason{NotReady, "the source has not told all yet, no state was written", r.agent.Started})
	}
	if r.parts[Applier] != nil && !r.proved {
		reasons = append(reasons, Reason{NotReady, "no rules were proven yet", r.agent.Started})
	}
	return reasons
}

// wrong is what fails now, by the order of the stages.
func (r *Recorder) wrong() []Reason {
	var reasons []Reason
	if r.held.LetGo != "" {
		reasons = append(reasons, Reason{NotHealthy, "let go, kube-proxy serves: " + r.held.LetGo, time.Time{}})
	}
	for _, stage := range Stages() {
		if w := r.work[stage]; w != nil && w.Error != "" {
			reasons = append(reasons, Reason{NotHealthy, fmt.Sprintf("%s: %s", stage, w.Error), w.Since})
		}
	}
	return reasons
}
