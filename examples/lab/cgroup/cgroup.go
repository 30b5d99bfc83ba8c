// Package cgroup makes small machines out of a large one: processes in a [Group]
// get so much of the CPUs together and no more, and what they used can be read.
//
// It works with the cgroups of both versions. Where both are mounted, the one that
// has the cpu controller is taken, since a kernel gives it to one hierarchy only.
// The groups are deleted when they are closed; nothing else is changed, but that
// the version 2 needs the controller switched on at the top (cgroups(7)).
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// Hierarchy is where groups can be made. Make it by [Open].
type Hierarchy struct {
	// Version is 1 or 2.
	Version int
	// limits is the folder of the cpu controller, usage that of cpuacct. They are the
	// same in version 2, and in version 1 where both are mounted together.
	limits, usage string
}

// Open finds the cpu controller among what is mounted.
func Open() (*Hierarchy, error) {
	mounts, err := procfs.GetMounts()
	if err != nil {
		return nil, fmt.Errorf("find the cpu controller of cgroups: %w", err)
	}
	h, err := find(mounts, os.ReadFile)
	if err != nil {
		return nil, fmt.Errorf("find the cpu controller of cgroups: %w", err)
	}
	return h, nil
}

// find looks for version 1 first: a kernel that has its cpu controller there does
// not have it in version 2.
func find(mounts []*procfs.MountInfo, read func(string) ([]byte, error)) (*Hierarchy, error) {
	v1, v2, v2Controllers := &Hierarchy{Version: 1}, "", ""
	for _, m := range mounts {
		_, cpu := m.SuperOptions["cpu"]
		_, accounting := m.SuperOptions["cpuacct"]
		switch {
		case m.FSType == "cgroup" && cpu && v1.limits == "":
			v1.limits = m.MountPoint
		case m.FSType == "cgroup2" && v2 == "":
			text, err := read(filepath.Join(m.MountPoint, "cgroup.controllers"))
			if err != nil {
				return nil, err
			}
			v2, v2Controllers = m.MountPoint, strings.TrimSpace(string(text))
		}
		if m.FSType == "cgroup" && accounting && v1.usage == "" {
			v1.usage = m.MountPoint
		}
	}
	if v1.limits != "" && v1.usage != "" {
		return v1, nil
	}
	for _, c := range strings.Fields(v2Controllers) {
		if c == "cpu" {
			return &Hierarchy{Version: 2, limits: v2, usage: v2}, nil
		}
	}
	return nil, fmt.Errorf("none is mounted: version 1 has cpu at %q and cpuacct at %q, version 2 is at %q with the controllers %q", v1.limits, v1.usage, v2, v2Controllers)
}

// Group is a set of processes with a limit.
type Group struct {
	h             *Hierarchy
	limits, usage string
}

// New makes a group without a limit. A name that is taken is an error.
func (h *Hierarchy) New(name string) (*Group, error) {
	if h.Version == 2 {
		if err := write(h.limits, "cgroup.subtree_control", "+cpu"); err != nil {
			return nil, fmt.Errorf("make cgroup %s: %w", name, err)
		}
	}
	g := &Group{h: h, limits: filepath.Join(h.limits, name), usage: filepath.Join(h.usage, name)}
	if err := os.Mkdir(g.limits, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup %s: %w", name, err)
	}
	if g.usage == g.limits {
		return g, nil
	}
	if err := os.Mkdir(g.usage, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("make cgroup %s: %w", name, err), os.Remove(g.limits))
	}
	return g, nil
}

// Limit gives the group so many CPUs together, such as 0.25, in each period. Both
// the period and what the group gets in it must be 1 ms at least, the period 1 s at
// most.
func (g *Group) Limit(cpus float64, period time.Duration) error {
	quota := int64(cpus * float64(period.Microseconds()))
	var err error
	if g.h.Version == 2 {
		err = write(g.limits, "cpu.max", fmt.Sprintf("%d %d", quota, period.Microseconds()))
	} else {
		err = errors.Join(
			write(g.limits, "cpu.cfs_period_us", strconv.FormatInt(period.Microseconds(), 10)),
			write(g.limits, "cpu.cfs_quota_us", strconv.FormatInt(quota, 10)),
		)
	}
	if err != nil {
		return fmt.Errorf("limit a cgroup to %v CPUs in each %v: %w", cpus, period, err)
	}
	return nil
}

// Add puts a process into the group, and with it the processes that it starts from
// then on.
func (g *Group) Add(pid int) error {
	err := write(g.limits, "cgroup.procs", strconv.Itoa(pid))
	if err == nil && g.usage != g.limits {
		err = write(g.usage, "cgroup.procs", strconv.Itoa(pid))
	}
	if err != nil {
		return fmt.Errorf("put process %d into a cgroup: %w", pid, err)
	}
	return nil
}

// Used is the CPU time that the group used since it was made.
func (g *Group) Used() (time.Duration, error) {
	file := "cpuacct.usage"
	if g.h.Version == 2 {
		file = "cpu.stat"
	}
	text, err := os.ReadFile(filepath.Join(g.usage, file))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of a cgroup: %w", err)
	}
	unit := time.Nanosecond
	if g.h.Version == 2 {
		text, unit = []byte(field(string(text), "usage_usec")), time.Microsecond
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of a cgroup: %w", err)
	}
	return time.Duration(n) * unit, nil
}

// field is the value of a line "name value", or empty.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			return f[1]
		}
	}
	return ""
}

// Close deletes the group. Its processes must have ended; those that end just now
// are waited for.
func (g *Group) Close() error {
	err := remove(g.limits)
	if g.usage != g.limits {
		err = errors.Join(err, remove(g.usage))
	}
	return err
}

// patience is how long Close waits for processes that end.
const patience = 5 * time.Second

func remove(folder string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(folder)
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			if err != nil {
				return fmt.Errorf("delete a cgroup: %w", err)
			}
			return nil
		}
	}
}

func write(folder, file, text string) error {
	return os.WriteFile(filepath.Join(folder, file), []byte(text), 0)
}
