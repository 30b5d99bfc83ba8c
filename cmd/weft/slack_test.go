package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft/examples/lab/labtest"
)

func TestSlacken(t *testing.T) {
	labtest.RequireKernel(t)
	slacken()
	slacken() // and for those that others started meanwhile
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		got, err := os.ReadFile(filepath.Join("/proc", thread.Name(), "timerslack_ns"))
		if err != nil && !os.IsNotExist(err) || err == nil && strings.TrimSpace(string(got)) != timerSlack {
			t.Errorf("thread %s: got %q, %v, want %s", thread.Name(), got, err, timerSlack)
		}
	}
}
