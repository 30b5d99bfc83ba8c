package main

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// logLine is a line of the log, as JSON.
type logLine struct{ Level, Msg, Component, Error string }

func (l *live) lines() (lines []logLine) {
	l.t.Helper()
	for text := range strings.Lines(l.read("log")) {
		var line logLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			l.t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, line)
	}
	return lines
}

// says waits for a line that begins so.
func (l *live) says(message string) logLine {
	l.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, line := range l.lines() {
			if strings.HasPrefix(line.Msg, message) {
				return line
			}
		}
	}
	l.t.Fatalf("nobody says %q:\n%s", message, l.read("log"))
	return logLine{}
}

// TestLog has each part say what it has to say: which part it is, at the level at
// which an operator wants to hear it, and what is so once.
func TestLog(t *testing.T) {
	l := launch(t, build(t), "--log-format", "json", "--log-level", "debug")
	l.says("rules proven")
	l.write("weft.yaml", configText(3, ""))
	l.eventually("0-74 : ", true)
	l.write("weft.yaml", configText(3, "logLevl: debug\n"))
	l.says("configuration refused")
	l.write("weft.yaml", configText(3, ""))
	if err := l.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	l.says("told to read everything again")
	for end := time.Now().Add(20 * time.Second); l.count(l.lines(), "rules proven") < 3 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := l.ns.Run("nft", "delete", "table", "ip", "weft"); err != nil {
		t.Fatal(err)
	}
	l.says("rules changed by somebody else")
	l.eventually("0-74 : ", true)
	l.end(syscall.SIGTERM)
	lines := l.lines()
	for _, want := range []logLine{
		{"INFO", "starting", "agent", ""},
		{"INFO", "state written", "watch", ""},
		{"DEBUG", "ServicePort changed", "watch", ""},
		{"INFO", "rules proven", "apply", ""},
		{"ERROR", "configuration refused, the last good one stays in force", "config", ""},
		{"INFO", "told to read everything again", "config", ""},
		{"WARN", "rules changed by somebody else, repairing", "apply", ""},
		{"DEBUG", "answering", "serve", ""},
	} {
		if !slices.ContainsFunc(lines, func(l logLine) bool { l.Error = ""; return l == want }) {
			t.Errorf("the log lacks %+v", want)
		}
	}
	if n := l.count(lines, "configuration refused"); n != 1 {
		t.Errorf("the refused configuration was told of %d times", n)
	}
	if text := l.read("log"); !strings.Contains(text, `"verify":0.`) {
		t.Error("times are not in seconds")
	}
	for _, line := range lines {
		if line.Component == "" || line.Level == "" || line.Msg == "" {
			t.Errorf("a line lacks something: %+v", line)
		}
	}
}

func (l *live) count(lines []logLine, message string) (n int) {
	for _, line := range lines {
		if strings.HasPrefix(line.Msg, message) {
			n++
		}
	}
	return n
}
