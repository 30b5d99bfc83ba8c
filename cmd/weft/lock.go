package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"weft/cmd/weft/config"
)

// lockFolder is where the locks are for which no file is configured.
const lockFolder = "/run/weft"

// lock is held by the one process that writes a table of a network namespace.
// It ends with the process, however that ends. The file says who holds it, and
// goes when it is given back.
type lock struct{ file *os.File }

// lockError says why there is no lock.
type lockError struct {
	path string
	// holder is the process that has it, in its own words; empty if it has not
	// said yet.
	holder string
	// err is set if the lock is not held by another, but cannot be taken at all.
	err error
}

func (e *lockError) Error() string {
	switch {
	case e.err != nil:
		return fmt.Sprintf("take the lock (the key lock can name another file): %v", e.err)
	case e.holder == "":
		return fmt.Sprintf("another weft, that just starts, writes these rules (lock %s)", e.path)
	}
	return fmt.Sprintf("%s, writes these rules (lock %s)", e.holder, e.path)
}

func (e *lockError) Unwrap() error { return e.err }

// lockPath is the configured file, or one that all who would write the same
// table of the same network namespace have in common, whatever else differs
// between them.
func lockPath(c *config.Config, table string) (string, error) {
	if c.Lock != "" {
		return c.Lock, nil
	}
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &ns); err != nil {
		return "", fmt.Errorf("tell the network namespace: %w", err)
	}
	name := fmt.Sprintf("apply-%d-%s.lock", ns.Ino, strings.ReplaceAll(table, "/", "_"))
	return filepath.Join(lockFolder, name), nil
}

// takeLock takes the lock at a path for a command, without waiting. The error is
// a [*lockError].
func takeLock(path, command string) (*lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, &lockError{path: path, err: err}
	}
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, &lockError{path: path, err: err}
		}
		err = flock(file)
		if err == nil && isAt(file, path) {
			sign(file, command)
			return &lock{file}, nil
		}
		if err != nil {
			err = refusedLock(file, err)
		}
		file.Close()
		if err != nil {
			return nil, err
		}
		// It was given back, and removed, between the opening and the locking.
	}
}

func refusedLock(file *os.File, err error) error {
	if errors.Is(err, unix.EWOULDBLOCK) {
		return &lockError{path: file.Name(), holder: holder(file)}
	}
	return &lockError{path: file.Name(), err: err}
}

func flock(file *os.File) error {
	for {
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// isAt reports whether the open file is the one that has the path.
func isAt(file *os.File, path string) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(open, there)
}

// sign writes who holds the lock, for others to read. What an earlier holder
// that was killed wrote goes first. The lock is held whether this works or not.
func sign(file *os.File, command string) {
	if err := file.Truncate(0); err != nil {
		return
	}
	_, _ = fmt.Fprintf(file, "%s, pid %d, since %s\n", command, os.Getpid(), time.Now().UTC().Format(time.RFC3339))
}

// holder is what the holder wrote. It may still be at it.
func holder(file *os.File) string {
	for range 20 {
		text, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<10))
		if line, _, ok := strings.Cut(string(text), "\n"); ok && err == nil {
			return line
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ""
}

// release gives the lock back. The file goes first: whoever opened it before
// sees that it is not at its path any more.
func (l *lock) release() {
	_ = os.Remove(l.file.Name()) // a file that stays does no harm
	l.file.Close()
}

// holding runs f with the lock.
func (p *program) holding(c *config.Config, table, command string, f func() error) error {
	path, err := lockPath(c, table)
	if err != nil {
		return err
	}
	l, err := takeLock(path, command)
	if err != nil {
		return err
	}
	defer l.release()
	return f()
}
