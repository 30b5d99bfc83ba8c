package debian

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/examples/lab/labtest"
)

// machine is a systemd that runs in namespaces of its own, above this machine's
// files, of which it changes none.
type machine struct {
	t   *testing.T
	cmd *exec.Cmd
}

// boot starts a machine with the package at /tmp/weft.deb.
func boot(t *testing.T, deb string) *machine {
	t.Helper()
	labtest.RequireKernel(t)
	labtest.RequireTool(t, "systemctl")
	labtest.RequireTool(t, "nsenter")
	cmd := exec.Command("./testdata/boot", t.TempDir(), deb)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	group := group(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP,
		Pdeathsig:  syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(group.Fd()),
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &machine{t, cmd}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and all that is in its namespace with it
		_ = cmd.Wait()         // it was killed
		if t.Failed() {
			t.Logf("the machine said: %s", &said)
		}
	})
	m.within("systemd runs", 30*time.Second, func() bool {
		out, _ := m.try("systemctl", "is-system-running")
		return strings.TrimSpace(out) == "running"
	})
	return m
}

// group makes a control group for the machine, so that it sees no other.
func group(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(hierarchy(t), fmt.Sprintf("weft-test-%d", os.Getpid()))
	if err := os.Mkdir(path, 0o755); err != nil {
		unmet(t, fmt.Sprintf("a control group for a systemd to run in: %v", err))
	}
	t.Cleanup(func() {
		for end := time.Now().Add(10 * time.Second); prune(path) != nil && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond) // what was killed takes a moment to go
		}
	})
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// hierarchy is where the control groups of version 2 are.
func hierarchy(t *testing.T) string {
	t.Helper()
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		if f := strings.Fields(lines.Text()); f[2] == "cgroup2" {
			return f[1]
		}
	}
	unmet(t, "control groups of version 2, in which a systemd can run")
	return ""
}

// unmet skips the test, or fails it where it must not be skipped.
func unmet(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("WEFT_REQUIRE_KERNEL") == "1" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

// prune removes a control group and those inside.
func prune(path string) error {
	inside, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, each := range inside {
		if each.IsDir() {
			_ = prune(filepath.Join(path, each.Name())) // that of the outer one fails, too
		}
	}
	return unix.Rmdir(path)
}

// try runs a command in the machine.
func (m *machine) try(args ...string) (string, error) {
	enter := append([]string{"-t", fmt.Sprint(m.cmd.Process.Pid), "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", "--"}, args...)
	out, err := exec.Command("nsenter", enter...).CombinedOutput()
	return string(out), err
}

// run is try for what must not fail.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%v: %v\n%s\n%s", args, err, out, m.log())
	}
	return out
}

// log is what helps to find a fault.
func (m *machine) log() string {
	unit, _ := m.try("systemctl", "status", "--no-pager", "-n", "0", "weft")
	log, _ := m.try("journalctl", "--no-pager", "-n", "40")
	return unit + log
}

// shell runs a line of shell.
func (m *machine) shell(line string) string {
	m.t.Helper()
	return m.run("sh", "-c", line)
}

// fails runs what must fail.
func (m *machine) fails(args ...string) {
	m.t.Helper()
	if out, err := m.try(args...); err == nil {
		m.t.Errorf("%v works: %s", args, out)
	}
}

// says compares what a command says with a part of it.
func (m *machine) says(want string, args ...string) {
	m.t.Helper()
	out, _ := m.try(args...) // systemctl has a code for each state
	if !strings.Contains(out, want) {
		m.t.Errorf("%v says %q, want %q", args, out, want)
	}
}

// property is one of the unit.
func (m *machine) property(name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.run("systemctl", "show", "-P", name, "weft"))
}

func (m *machine) within(what string, limit time.Duration, f func() bool) {
	m.t.Helper()
	for end := time.Now().Add(limit); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("not within %s: %s\n%s", limit, what, m.log())
		}
	}
}
