// Package nft runs the nft program, which is the only thing of weft that
// writes to the kernel's ruleset (but for the heartbeat).
//
// The text format, not libnftables' JSON: JSON of nft 1.0.6 refuses maps with
// concatenated data and loses comments of tables and chains. The program, not
// netlink: what users write in their templates is nft's language, and nft is
// its only complete parser.
//
// A run of nft is one transaction: the kernel holds all of it or nothing. nft
// gets the whole text on standard input, a bare environment, and a process group
// of its own, which is killed when the context ends, so that a hanging nft takes
// nobody with it.
//
// What needs no parser goes through netlink, where it costs microseconds: a
// [Heart] renews the node's addresses, and a [Subscription] hears who changes
// the tables. [Own] tells weft's transactions from those of others.
package nft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DefaultTimeout ends an nft that hangs. The largest table that weft loads,
// the whole NodePort range, takes seconds.
const DefaultTimeout = time.Minute

// Runner runs nft in the network namespace of the calling thread.
type Runner struct {
	// Path of the program; empty finds nft on PATH.
	Path string
	// Timeout of a run; 0 is [DefaultTimeout].
	Timeout time.Duration
	// Largest is how many bytes of text nft gets at a time at most; 0 is what the
	// machine has memory for (see [Runner.Room]).
	Largest int
	// Own learns which transactions these runs send; it may be nil.
	Own *Own
}

// ErrNoTable is what a listing of a table that does not exist matches.
var ErrNoTable = errors.New("no such table")

// Load executes text as one transaction. The error is an [*Error] if nft
// refused it.
func (r Runner) Load(ctx context.Context, text string) error {
	_, err := r.run(ctx, text, "-f", "-")
	return err
}

// Check asks nft and the kernel whether text would load, without loading it.
// It costs about as much as loading, and needs the same rights.
func (r Runner) Check(ctx context.Context, text string) error {
	_, err := r.run(ctx, text, "-c", "-f", "-")
	return err
}

// LoadJSON executes a document of libnftables JSON as one transaction. The error
// is an [*Error] if nft refused it, with messages that name no place.
func (r Runner) LoadJSON(ctx context.Context, document string) error {
	_, err := r.run(ctx, document, "-j", "-f", "-")
	return err
}

// List is nft's own text of a table.
func (r Runner) List(ctx context.Context, family, table string) (string, error) {
	return r.list(ctx, family, table)
}

// ListStateless is List without what counters counted and quotas used up.
func (r Runner) ListStateless(ctx context.Context, family, table string) (string, error) {
	return r.list(ctx, family, table, "-s")
}

// ListHandles is ListStateless with the handle of each rule behind it.
func (r Runner) ListHandles(ctx context.Context, family, table string) (string, error) {
	return r.list(ctx, family, table, "-s", "-a")
}

// ListJSON is ListStateless as libnftables JSON.
func (r Runner) ListJSON(ctx context.Context, family, table string) (string, error) {
	return r.list(ctx, family, table, "-s", "-j")
}

func (r Runner) list(ctx context.Context, family, table string, flags ...string) (string, error) {
	out, err := r.run(ctx, "", append(flags, "list", "table", family, table)...)
	var refused *Error
	if errors.As(err, &refused) && strings.Contains(refused.Stderr, "No such file or directory") {
		return "", fmt.Errorf("list table %s %s: %w", family, table, ErrNoTable)
	}
	return out, err
}

var versionPattern = regexp.MustCompile(`v(\d+)\.(\d+)(?:\.(\d+))?`)

// Version is nft's version as three numbers.
func (r Runner) Version(ctx context.Context) ([3]int, error) {
	out, err := r.run(ctx, "", "--version")
	if err != nil {
		return [3]int{}, err
	}
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return [3]int{}, fmt.Errorf("nft --version: got %.80q, expected a version", out)
	}
	var v [3]int
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // "" is 0: the pattern has digits only
	}
	return v, nil
}

func (r Runner) run(ctx context.Context, stdin string, args ...string) (string, error) {
	path, err := r.find()
	if err != nil {
		return "", err
	}
	timeout := r.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	f, err := openFiles(stdin)
	if err != nil {
		return "", err
	}
	defer f.close()
	cmd := command(path, args, f)
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("start nft: %w", err)
	}
	if err := r.Own.start(func() (int, error) { return pid(cmd, cmd.Start()) }); err != nil {
		return "", noStart(path, err)
	}
	err = wait(ctx, cmd, f)
	r.Own.ended(cmd.Process.Pid)
	switch {
	case err == nil:
		return printed(f.stdout)
	case ctx.Err() != nil:
		return "", fmt.Errorf("nft %s: ended after %s: %w", strings.Join(args, " "), timeout, ctx.Err())
	}
	stderr, failed := printed(f.stderr)
	if failed != nil {
		return "", failed
	}
	return "", newError(args, stderr, err)
}

func command(path string, args []string, f *files) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = f.stdin, f.stdout, f.stderr, []*os.File{f.theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// wait waits for the end of a program, whose process group it kills when the context
// ends. For that, [exec.CommandContext] would have a goroutine to be woken in each run.
func wait(ctx context.Context, cmd *exec.Cmd, f *files) error {
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // it may have ended
	defer stop()
	deadline, _ := ctx.Deadline()
	f.await(deadline)
	return cmd.Wait()
}

func pid(cmd *exec.Cmd, started error) (int, error) {
	if started != nil {
		return 0, started
	}
	return cmd.Process.Pid, nil
}

// Found is a Runner that looks for nft no more, or r itself if there is none yet. A look
// goes through all folders of $PATH, each time that nft is run.
func (r Runner) Found() Runner {
	if path, err := r.find(); err == nil {
		r.Path = path
	}
	return r
}

// find looks up what is no path yet; of a path, the start of the program tells.
func (r Runner) find() (string, error) {
	if filepath.IsAbs(r.Path) {
		return r.Path, nil
	}
	path, err := exec.LookPath(cmp.Or(r.Path, "nft"))
	if err != nil {
		return "", notFound(err)
	}
	return path, nil
}

func noStart(path string, err error) error {
	if _, missing := exec.LookPath(path); missing != nil {
		return notFound(missing)
	}
	return fmt.Errorf("start nft: %w", err)
}

func notFound(err error) error { return fmt.Errorf("find nft (Debian's package is nftables): %w", err) }
