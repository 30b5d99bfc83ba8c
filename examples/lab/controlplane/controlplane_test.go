package controlplane

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestModuleFilesPinTheVersions reads the module files as text: Go's own reader
// is a library that nothing else here needs.
func TestModuleFilesPinTheVersions(t *testing.T) {
	for file, want := range map[string]string{
		"kubernetes/go.mod": "k8s.io/kubernetes " + Kubernetes,
		"etcd/go.mod":       "go.etcd.io/etcd/server/v3 " + Etcd,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not require %s", file, want)
		}
	}
	text, err := os.ReadFile("kubernetes/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, replaced, _ := strings.Cut(string(text), "replace (")
	staging := strings.Replace(Kubernetes, "v1.", "v0.", 1)
	for line := range strings.Lines(replaced) {
		if strings.Contains(line, "=>") && !strings.HasSuffix(strings.TrimSpace(line), " "+staging) {
			t.Errorf("kubernetes/go.mod: %s: want %s", strings.TrimSpace(line), staging)
		}
	}
}

func TestNothingIsCompiledYet(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := Locate(); !errors.Is(err, ErrMissing) {
		t.Errorf("Locate() = %v, want %v", err, ErrMissing)
	}
}

// TestFailureLeavesNothing compiles without a module proxy and without modules,
// as on a machine without network.
func TestFailureLeavesNothing(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("GOPROXY", "http://127.0.0.1:1")
	t.Setenv("GOMODCACHE", filepath.Join(t.TempDir(), "modules"))
	t.Setenv("GONOSUMDB", "*")
	partial := releases()[0].folder(filepath.Join(cache, "weft/controlplane")) + ".partial"
	if err := os.MkdirAll(partial, 0o755); err != nil { // a killed run's
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := Compile(context.Background(), ".", &out)
	if err == nil || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "the Go module proxy is needed") {
		t.Errorf("Compile without network: %v, want one line that names the module proxy", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "weft/controlplane/*-v*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestVerifyRefusesAnotherVersion(t *testing.T) {
	dir := t.TempDir()
	r := release{name: "tool", version: "v2", programs: []program{{"tool", "", []string{"--version"}, "tool v2"}}}
	for text, want := range map[string]string{
		"echo tool v2":                "",
		"echo tool v1":                `tool tells "tool v1", want "tool v2"`,
		"echo went wrong >&2; exit 1": "went wrong",
	} {
		if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		err := r.verify(t.Context(), dir)
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
