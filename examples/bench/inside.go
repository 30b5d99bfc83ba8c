package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"weft/examples/lab/cgroup"
)

// inside becomes another program that sees a file in the place of /proc/stat. It is
// in a mount namespace of its own already. Arguments: the file, and the program with its
// arguments.
func inside(_ context.Context, args []string, _ io.Writer) error {
	if len(args) < 2 {
		return errors.New("inside: expected a file and a program")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := syscall.Mount(args[0], "/proc/stat", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over /proc/stat: %w", err)
	}
	if err := syscall.Exec(args[1], args[1:], os.Environ()); err != nil {
		return fmt.Errorf("run %s: %w", args[1], err)
	}
	return nil
}

// meter writes a node's /proc/stat: one core, that is busy for as much of the time as
// the cgroup uses of its quota.
type meter struct {
	group *cgroup.Group
	file  *os.File
	last  time.Time
	used  time.Duration // of the group, at last
	// busy and idle are what the file says, owed what was used of a time that has not
	// passed: a group may have its quota a little before or after the clock.
	busy, idle, owed time.Duration
}

func newMeter(group *cgroup.Group, path string) (*meter, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	m := &meter{group: group, file: file, last: time.Now()}
	if m.used, err = group.Used(); err == nil {
		err = m.write()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return m, nil
}

// step takes in what was used since the last step, with the limit that was in force.
func (m *meter) step(now time.Time, cpus float64) error {
	used, err := m.group.Used()
	if err != nil {
		return err
	}
	passed := now.Sub(m.last)
	m.add(passed, time.Duration(float64(used-m.used)/cpus))
	m.last, m.used = now, used
	return m.write()
}

func (m *meter) add(passed, busy time.Duration) {
	m.owed += busy
	busy = min(m.owed, passed)
	m.owed = min(m.owed-busy, time.Second)
	m.busy += busy
	m.idle += passed - busy
}

// write replaces the whole text, which is always as long, by one write, so that a
// reader sees one text or the other.
func (m *meter) write() error {
	const tick = time.Second / 100 // USER_HZ
	line := fmt.Sprintf("%012d 0 0 %012d 0 0 0 0 0 0\n", m.busy/tick, m.idle/tick)
	_, err := m.file.WriteAt([]byte("cpu  "+line+"cpu0 "+line), 0)
	return err
}

func (m *meter) close() error { return m.file.Close() }
