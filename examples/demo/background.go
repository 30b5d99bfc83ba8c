package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// upPipe is the file descriptor on which the child tells that it is up.
const upPipe = 3

// keepToSelf keeps the pipe from the processes that the child starts, or the
// parent would wait for their end too.
func keepToSelf() { unix.CloseOnExec(upPipe) }

// runInBackground runs this program again as a child with a session of its own
// and returns when the child has shown all and stays, or has ended.
func runInBackground(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	up, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer up.Close()
	child := exec.Command(self, append(os.Args[1:], "-child")...)
	child.Stdout, child.Stderr, child.ExtraFiles = os.Stdout, os.Stderr, []*os.File{tell}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	tell.Close()
	if err != nil {
		return fmt.Errorf("start the process that stays: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = child.Process.Signal(syscall.SIGTERM) })()
	var word [1]byte
	if n, _ := up.Read(word[:]); n > 0 {
		return nil
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) {
		return err
	}
	os.Exit(exit.ExitCode()) // the child has said why
	return nil
}

// stay tells the parent that all is up, lets go of the terminal and waits for
// the signal to end.
func stay(ctx context.Context) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup2(int(null.Fd()), fd); err != nil {
			return err
		}
	}
	tell := os.NewFile(upPipe, "up")
	_, err = tell.WriteString("up\n")
	if err := errors.Join(err, tell.Close(), null.Close()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// claim makes the demo's folder and locks it for as long as the returned file
// is open. What an earlier demo left that was killed is taken down first.
func claim(dir string, out io.Writer) (*os.File, error) {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		if _, up := owner(dir); up {
			return nil, errors.New("a demo is up already: make demo-down takes it down")
		}
		fmt.Fprintln(out, "Taking down what an earlier demo left that was killed.")
		if err := sweep(dir); err != nil {
			return nil, err
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "pid"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", lock.Name(), err), lock.Close())
	}
	_, err = fmt.Fprintln(lock, os.Getpid())
	return lock, err
}

// owner is the process that owns the demo, and whether it is still there.
func owner(dir string) (pid int, up bool) {
	lock, err := os.Open(filepath.Join(dir, "pid"))
	if err != nil {
		return 0, false
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0, false
	}
	text, _ := io.ReadAll(lock)
	pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	return pid, err == nil
}

// takeDown ends the process that owns the demo, which cleans up after itself, or
// cleans up in its place where it was killed.
func takeDown(ctx context.Context, dir string, out io.Writer) error {
	pid, up := owner(dir)
	if up {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			return fmt.Errorf("end the demo's process %d: %w", pid, err)
		}
	}
	deadline := time.Now().Add(15 * time.Second)
	for ; up && time.Now().Before(deadline); _, up = owner(dir) {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	if up {
		return fmt.Errorf("process %d does not end", pid)
	}
	if err := sweep(dir); err != nil {
		return err
	}
	fmt.Fprintln(out, "The demo is down: no namespaces, processes or files are left.")
	return nil
}

// sweep removes what an owner that was killed could not: weft, the namespaces,
// the folder.
func sweep(dir string) error {
	var errs []error
	names, err := filepath.Glob("/run/netns/" + stage + "-*")
	errs = append(errs, err)
	for _, path := range names {
		errs = append(errs, endProcesses(path), netns.DeleteNamed(filepath.Base(path)))
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// endProcesses kills what runs in one of the demo's namespaces: without the
// namespace's name nobody could find it again.
func endProcesses(namespace string) error {
	var want, got unix.Stat_t
	if err := unix.Stat(namespace, &want); err != nil {
		return err
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil || unix.Stat(p+"/ns/net", &got) != nil || got.Dev != want.Dev || got.Ino != want.Ino {
			continue // a process that ended meanwhile has no namespace
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// sleep waits, or returns early with [errInterrupted].
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errInterrupted
	case <-time.After(d):
		return nil
	}
}
