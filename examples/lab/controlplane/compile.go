package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Compile makes what the cache lacks, and says on out what it does and how long
// that took. modules is the folder with the module files: that of this package.
// Two of them at a time wait for each other; one that was killed leaves nothing
// that the next would take for a program.
func Compile(ctx context.Context, modules string, out io.Writer) error {
	cache, err := folder()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	for _, r := range releases() {
		if err := r.make(ctx, cache, modules, out); err != nil {
			return err
		}
	}
	return fetchOldEtcd(ctx, cache, out)
}

// lock waits for the other one that compiles, if there is one.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the cache folder: %w", err), f.Close())
	}
	return func() { f.Close() }, nil // the lock ends with the descriptor
}

// make compiles into a folder that gets its name at the very end.
func (r release) make(ctx context.Context, cache, modules string, out io.Writer) error {
	final := r.folder(cache)
	if _, err := os.Stat(final); err == nil {
		fmt.Fprintf(out, "%s %s is compiled already: %s\n", r.name, r.version, final)
		return nil
	}
	partial := final + ".partial"
	if err := os.RemoveAll(partial); err != nil { // of a run that was killed
		return fmt.Errorf("clear the cache folder: %w", err)
	}
	defer os.RemoveAll(partial)
	fmt.Fprintf(out, "compiling %s %s (%s)\n", r.name, r.version, strings.Join(r.names(), ", "))
	start := time.Now()
	if err := r.compile(ctx, filepath.Join(modules, r.name), partial); err != nil {
		return err
	}
	if err := r.verify(ctx, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, final); err != nil {
		return fmt.Errorf("put %s in its place: %w", r.name, err)
	}
	fmt.Fprintf(out, "compiled %s %s in %d s: %s\n", r.name, r.version, int(time.Since(start).Seconds()), final)
	return nil
}

func (r release) names() []string {
	var names []string
	for _, p := range r.programs {
		names = append(names, p.name)
	}
	return names
}

// compile leaves the module files as they are (-mod=readonly), whatever the
// user's GOFLAGS or workspace say.
func (r release) compile(ctx context.Context, module, into string) error {
	for _, p := range r.programs {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-mod=readonly", "-buildvcs=false",
			"-ldflags", r.ldflags, "-o", filepath.Join(into, p.name), p.pkg)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("compile %s %s: %w: %s", p.name, r.version, err, gist(said.String()))
		}
	}
	return nil
}

// gist is the line of the compiler's output that says most: the one that tells
// of the network if there is one, for then hundreds of modules are missing.
func gist(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for _, line := range lines {
		for _, sign := range []string{"dial tcp", "no such host", "module lookup disabled", "TLS handshake", "i/o timeout"} {
			if strings.Contains(line, sign) {
				return strings.TrimSpace(line) + " (the Go module proxy is needed for the first run)"
			}
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// verify asks each program for its version.
func (r release) verify(ctx context.Context, folder string) error {
	for _, p := range r.programs {
		out, err := exec.CommandContext(ctx, filepath.Join(folder, p.name), p.version...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ask %s for its version: %w: %s", p.name, err, gist(string(out)))
		}
		if !strings.Contains(string(out), p.tells) {
			return fmt.Errorf("%s tells %q, want %q", p.name, strings.TrimSpace(string(out)), p.tells)
		}
	}
	return nil
}
