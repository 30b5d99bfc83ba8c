package nft

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What nft may print, in bytes: a program that prints without end must take neither
// the machine's memory nor, where its complaints are read, its time.
const (
	maxOutput     = 64 << 20
	maxComplaints = 1 << 20
)

// files are what a run of nft reads and prints: files in memory.
//
// A pipe would not do for what it reads: were weft killed while it writes, nft would
// take what is in the pipe for all, and the beginning of a transaction may be a good
// transaction, such as one that deletes a table. For the same reason nft dies with
// weft: left alone, it could load old rules after the next weft has loaded new ones.
//
// For what it prints, which is nothing nearly always, pipes would do, but each would
// have a goroutine that waits for it, and be woken up when a run ends.
type files struct {
	stdin, stdout, stderr *os.File
	// alive is a pipe of which nft holds the other end for as long as it runs.
	alive, theirs *os.File
}

func openFiles(stdin string) (*files, error) {
	f := &files{}
	var in, out, errs error
	f.stdin, in = holding(stdin)
	f.stdout, out = empty(maxOutput)
	f.stderr, errs = empty(maxComplaints)
	var pipe error
	f.alive, f.theirs, pipe = os.Pipe()
	if err := errors.Join(in, out, errs, pipe); err != nil {
		f.close()
		return nil, fmt.Errorf("make files for nft: %w", err)
	}
	return f, nil
}

func (f *files) close() {
	for _, file := range []*os.File{f.stdin, f.stdout, f.stderr, f.alive, f.theirs} {
		if file != nil {
			_ = file.Close() // nothing of it is left then
		}
	}
}

// await returns when nft has ended, or a moment after the deadline by which it is
// killed. To wait for a process is a system call that blocks a thread, which keeps the
// Go runtime looking after that thread every few microseconds: for the time of a small
// transaction, that costs more than all the rest of it.
func (f *files) await(deadline time.Time) {
	_ = f.theirs.Close() // ours: nft has its own
	_ = f.alive.SetReadDeadline(deadline.Add(time.Second))
	_, _ = f.alive.Read(make([]byte, 1)) // nobody writes
}

// holding is a file that holds a text, to be read from its beginning.
func holding(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("nft", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "nft")
	if _, err = f.WriteString(text); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return f, err
}

// empty is a file for so many bytes at most: it has that size, and can get no larger.
func empty(size int64) (*os.File, error) {
	fd, err := unix.MemfdCreate("nft", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "nft")
	if err = f.Truncate(size); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_GROW)
	}
	return f, err
}

// printed is what a program that ended has written: it moved the offset, which is one
// for all who were given the file.
func printed(f *os.File) (string, error) {
	n, err := f.Seek(0, io.SeekCurrent)
	text := make([]byte, n)
	if err == nil && n > 0 {
		_, err = f.ReadAt(text, 0)
	}
	if err != nil {
		return "", fmt.Errorf("read what nft printed: %w", err)
	}
	return string(text), nil
}
