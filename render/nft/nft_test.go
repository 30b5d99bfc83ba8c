package nft_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft/examples/lab/labtest"
	"weft/render/nft"
)

func in(t *testing.T, f func(context.Context) error) error {
	t.Helper()
	return labtest.Scratch(t).Do(func() error { return f(t.Context()) })
}

func TestLoadAndList(t *testing.T) {
	err := in(t, func(ctx context.Context) error {
		var r nft.Runner
		if _, err := r.List(ctx, "ip", "weft"); !errors.Is(err, nft.ErrNoTable) {
			t.Errorf("listing a table that is not there: %v, want ErrNoTable", err)
		}
		if err := r.Check(ctx, "table ip weft {\n\tchain c {\n\t}\n}\n"); err != nil {
			t.Errorf("check: %v", err)
		}
		if _, err := r.List(ctx, "ip", "weft"); !errors.Is(err, nft.ErrNoTable) {
			t.Errorf("a check loaded the table: %v", err)
		}
		if err := r.Load(ctx, "table ip weft {\n\tchain c {\n\t}\n}\n"); err != nil {
			return err
		}
		text, err := r.List(ctx, "ip", "weft")
		if !strings.Contains(text, "chain c") {
			t.Errorf("listing = %q, want the chain", text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusalNamesLineAndColumn(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		said       string
	}{
		{"syntax", "table ip weft {\n\tchain c {\n\t\taccept }\n}\n", 3, "syntax error"},
		{"kernel", "table ip weft {\n\tchain c {\n\t\tgoto nowhere\n\t}\n}\n", 3, "No such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := in(t, func(ctx context.Context) error { return nft.Runner{}.Load(ctx, tt.text) })
			var refused *nft.Error
			if !errors.As(err, &refused) || len(refused.Messages) == 0 {
				t.Fatalf("error = %v, want an *Error with messages", err)
			}
			if m := refused.Messages[0]; m.Line != tt.line || !strings.Contains(m.Text, tt.said) {
				t.Errorf("message = %+v, want line %d and %q", m, tt.line, tt.said)
			}
		})
	}
}

// TestProgramThatMisbehaves runs programs in nft's place.
func TestProgramThatMisbehaves(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"hangs", "sleep 60 & wait", "ended after"},
		{"garbage", "head -c 100000 /dev/urandom >&2; exit 1", "exit status 1"},
		{"prints without end", "yes; exit 4", "exit status 4"},
		{"complains without end", "yes >&2; exit 5", "exit status 5"},
		{"silent", "exit 3", "it said nothing: exit status 3"},
		{"killed", "kill -9 $$", "signal: killed"},
		{"lies about lines", "echo '-:99999999999999999999:1-2: Error: no' >&2; exit 1", "exit status 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "nft")
			if err := os.WriteFile(path, []byte("#!/bin/sh\nPATH=/bin:/usr/bin\n"+tt.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			err := nft.Runner{Path: path, Timeout: 300 * time.Millisecond}.Load(t.Context(), "x")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		err := nft.Runner{Path: "/nonexistent/nft"}.Load(t.Context(), "x")
		if err == nil || !strings.Contains(err.Error(), "find nft") {
			t.Errorf("error = %v, want one that says nft is missing", err)
		}
	})
}

// TestEndedBeforeItBegins: nothing is loaded for a context that is over.
func TestEndedBeforeItBegins(t *testing.T) {
	dir := t.TempDir()
	script, ran := filepath.Join(dir, "nft"), filepath.Join(dir, "ran")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n: >"+ran+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // else it may be killed before it does anything
		if err := (nft.Runner{Path: script}).Load(ctx, "x"); !errors.Is(err, context.Canceled) {
			t.Fatalf("error = %v, want the context's", err)
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("nft was run")
	}
	if err := (nft.Runner{Path: script}).Load(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

func TestVersion(t *testing.T) {
	labtest.RequireKernel(t)
	v, err := nft.Runner{}.Version(t.Context())
	if err != nil || v[0] < 1 {
		t.Errorf("version = %v, %v, want 1.0.6 or later", v, err)
	}
}

func FuzzError(f *testing.F) {
	f.Add("/dev/stdin:4:70-71: Error: syntax error\n")
	f.Add("-:0:0: Error: \n\x00")
	f.Fuzz(func(t *testing.T, stderr string) {
		if nft.ParseError(stderr).Error() == "" {
			t.Error("no message")
		}
	})
}

// TestTextIsWholeBeforeNftStarts keeps the text in a file: from a pipe, nft would
// take the beginning for all when weft is killed while it writes.
func TestTextIsWholeBeforeNftStarts(t *testing.T) {
	dir := t.TempDir()
	script, size := filepath.Join(dir, "nft"), filepath.Join(dir, "size")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n/usr/bin/stat -L -c %s /proc/self/fd/0 >"+size+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (nft.Runner{Path: script}).Load(t.Context(), strings.Repeat("x", 1<<20)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(size); err != nil || strings.TrimSpace(string(got)) != "1048576" {
		t.Errorf("nft finds %q bytes at its start, %v, want all", got, err)
	}
}
