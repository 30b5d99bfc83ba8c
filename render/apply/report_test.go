package apply_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft/render"
	"weft/render/apply"
	"weft/state/status"
)

// watched is a rig whose loop reports.
func watched(t *testing.T, over render.Vars, change func(*apply.Loop)) (*rig, *status.Recorder) {
	recorder := status.New("n1", "test", "", status.Applier)
	return start(t, over, func(l *apply.Loop) {
		l.Status = recorder
		if change != nil {
			change(l)
		}
	}), recorder
}

// becomes waits until the status is as wanted.
func becomes(t *testing.T, r *status.Recorder, what string, is func(status.Status) bool) status.Status {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := r.Status()
		if is(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("never %s: %+v", what, s)
		}
	}
}

func TestReportsProof(t *testing.T) {
	r, recorder := watched(t, nil, nil)
	r.next()
	s := recorder.Status()
	if !s.Health.Healthy || s.Rules.Wanted != 1 || s.Rules.Applied != 1 || s.Rules.Proven != 1 || s.Rules.Table != "weft" || s.Rules.HeartbeatSeconds != 60 {
		t.Errorf("after the first proof: %+v, %+v", s.Health, s.Rules)
	}
	for _, stage := range []status.Stage{status.Read, status.Templates, status.Render, status.Plan, status.Apply, status.Verify} {
		if w := work(s, stage); w.Count != 1 || w.LastSeconds <= 0 {
			t.Errorf("%s: %+v, want one duration", stage, w)
		}
	}
	lines := strings.Split(s.Proven.Text(), "\n")
	for i, line := range lines {
		if strings.Contains(line, "198.51.100.1:80") {
			o := s.Proven.Origin(i + 1)
			if filepath.Base(o.File) != "_service.nft.tmpl" || o.Line == 0 || o.ServicePort != "ns/web" {
				t.Errorf("line %d, %q, comes from %+v", i+1, line, o)
			}
			return
		}
	}
	t.Errorf("no rule for the endpoint:\n%s", s.Proven.Text())
}

func TestReportsFailures(t *testing.T) {
	service := filepath.Join("set", "_service.nft.tmpl")
	chain := func(rule string) string {
		return "{{ define \"service\" }}	chain {{ template \"chain\" . }} {\n		" + rule + "\n	}\n{{ end }}"
	}
	tests := []struct {
		name, file, text string
		at               status.Stage
	}{
		{"state", "state.yaml", "{", status.Read},
		{"template that does not parse", service, "{{ if }}", status.Templates},
		{"lint", service, chain("drop"), status.Render},
		{"nft", service, chain("ip ttl 300 return"), status.Apply},
		{"proof", service, chain("meta l4proto tcp dnat to 198.51.100.9:80"), status.Verify},
	}
	r, recorder := watched(t, nil, nil)
	r.next()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good, err := os.ReadFile(filepath.Join(r.dir, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			r.write(tt.file, tt.text)
			r.changes <- apply.StateChanged | apply.TemplatesChanged
			s := becomes(t, recorder, "failed", func(s status.Status) bool { return !s.Health.Healthy })
			if len(s.Health.Reasons) != 1 || !strings.HasPrefix(s.Health.Reasons[0].Message, string(tt.at)+": ") || !s.Health.Ready {
				t.Errorf("health %+v, want a failure of %s alone", s.Health, tt.at)
			}
			if w := work(s, tt.at); w.Failures == 0 {
				t.Errorf("%+v, want a failure", w)
			}
			r.write(tt.file, string(good))
			r.changes <- apply.Everything
			becomes(t, recorder, "good again", func(s status.Status) bool { return s.Health.Healthy && s.Rules.Proven == 1 })
		})
	}
}

func TestReportsRepairAndBeats(t *testing.T) {
	r, recorder := watched(t, render.Vars{"heartbeat": "1s"}, nil)
	r.next()
	if _, err := r.ns.Run("nft", "delete table ip weft"); err != nil {
		t.Fatal(err)
	}
	s := becomes(t, recorder, "repaired", func(s status.Status) bool { return s.Rules.Repairs == 1 && s.Rules.Proven == 1 })
	if !strings.Contains(s.Rules.RepairedOf, "nft") {
		t.Errorf("repaired of %q, want the name of who did it", s.Rules.RepairedOf)
	}
	becomes(t, recorder, "renewed", func(s status.Status) bool { return s.Rules.Beats > 1 })
}

func TestReportsLettingGo(t *testing.T) {
	old := strings.Replace(stateText("0.5", "0.5"), "generation: 1\n", "generation: 1\nwritten: 2025-11-24T13:38:23Z\n", 1)
	r, recorder := watched(t, render.Vars{"heartbeat": "1s"}, func(l *apply.Loop) { l.FailAfter = time.Second })
	r.next()
	r.write("state.yaml", old)
	r.changes <- apply.StateChanged
	s := becomes(t, recorder, "let go", func(s status.Status) bool { return s.Rules.LetGo != "" })
	if s.Health.Healthy || !strings.Contains(s.Health.Reasons[0].Message, "older than failAfter, 1s") {
		t.Errorf("health %+v, want the reason", s.Health)
	}
	r.write("state.yaml", strings.Replace(old, "2025", "2024", 1))
	r.changes <- apply.StateChanged
	becomes(t, recorder, "holding again", func(s status.Status) bool { return s.Rules.LetGo == "" && s.Health.Healthy })
}

func work(s status.Status, stage status.Stage) status.Work {
	for _, w := range s.Stages {
		if w.Stage == stage {
			return w
		}
	}
	return status.Work{}
}
