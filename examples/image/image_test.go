// Package image tests the container image without a container engine: the files are
// made as the Dockerfile says, and its program runs in them with no more rights than
// the DaemonSet in examples/kubernetes gives to it.
package image

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/examples/lab/labtest"
)

// image is what a container is started from.
type image struct {
	root            string
	env             []string
	entrypoint, cmd []string
}

// dockerfile is read line by line; the test knows what ours needs and no more.
func dockerfile(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			word, rest, _ := strings.Cut(line, " ")
			lines = append(lines, []string{word, rest})
		}
	}
	return lines
}

// build does what the Dockerfile says, with this machine in the place of its first
// base image: both are Debian with Go.
func build(t *testing.T) *image {
	t.Helper()
	labtest.RequireTool(t, "nft")
	made := map[string]string{}
	i := &image{}
	for _, line := range dockerfile(t) {
		switch word, rest := line[0], line[1]; {
		case word == "FROM" && strings.HasSuffix(rest, " AS build"):
			i.base(t, strings.TrimSuffix(rest, " AS build"))
		case word == "RUN" && strings.HasPrefix(rest, "apt-get update && apt-get install"):
			i.installed(t, rest)
		case word == "RUN" && strings.HasPrefix(rest, "examples/image/root "):
			folder := strings.TrimPrefix(rest, "examples/image/root ")
			made[folder] = t.TempDir()
			if out, err := exec.Command("./root", made[folder]).CombinedOutput(); err != nil {
				t.Fatalf("make the files: %v\n%s", err, out)
			}
		case word == "FROM" && rest == "scratch", word == "WORKDIR", word == "COPY" && !strings.HasPrefix(rest, "--from"), rest == "go mod download":
		case word == "COPY" && strings.HasPrefix(rest, "--from=build "):
			from, to, _ := strings.Cut(strings.TrimPrefix(rest, "--from=build "), " ")
			if i.root = made[from]; i.root == "" || to != "/" {
				t.Fatalf("COPY %s: nothing made %s, or it is not the whole", rest, from)
			}
		case word == "ENV":
			i.env = append(i.env, rest)
		case word == "ENTRYPOINT":
			i.entrypoint = list(t, rest)
		case word == "CMD":
			i.cmd = list(t, rest)
		default:
			t.Fatalf("the Dockerfile has a line that this test does not know: %s %s", word, rest)
		}
	}
	return i
}

func list(t *testing.T, text string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return words
}

// base must have the Go that the sources ask for.
func (i *image) base(t *testing.T, name string) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(text))[1]
	if !strings.HasPrefix(name, "golang:"+wanted+"-") {
		t.Errorf("the base image is %s, and go.mod asks for Go %s", name, wanted)
	}
}

// installed must be all that [root] takes from the base image.
func (i *image) installed(t *testing.T, command string) {
	for _, name := range []string{"nftables", "ca-certificates"} {
		if !strings.Contains(command, " "+name) {
			t.Errorf("%s does not install %s", command, name)
		}
	}
}

// container is an image with a network of its own, in which programs run as
// containerd would run them for the DaemonSet: as root with CAP_NET_ADMIN alone, no
// way to more, on a root that cannot be written to.
type container struct {
	t     *testing.T
	image *image
	run   string // what is mounted at /run/weft
	jobs  chan func()
}

// start makes the container; its thread is the only one inside.
func (i *image) start(t *testing.T) *container {
	t.Helper()
	labtest.RequireKernel(t)
	c := &container{t: t, image: i, run: t.TempDir(), jobs: make(chan func())}
	ready := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ready <- c.enter()
		for job := range c.jobs {
			job()
		}
	}()
	t.Cleanup(func() { close(c.jobs) })
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *container) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS); err != nil {
		return err
	}
	root := c.image.root
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{root, root, "", unix.MS_BIND},
		{"/proc", root + "/proc", "", unix.MS_BIND},
		{"dev", root + "/dev", "tmpfs", 0},
		{c.run, root + "/run/weft", "", unix.MS_BIND},
		{"", root, "", unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := os.Symlink("/proc/self/fd", root+"/dev/fd"); err != nil {
		return err
	}
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		if capability != unix.CAP_NET_ADMIN {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
				return err
			}
		}
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// command is the entrypoint of the image with arguments, or another program.
func (c *container) command(args ...string) *exec.Cmd {
	cmd := &exec.Cmd{Path: args[0], Args: args, Dir: "/", Env: append(c.image.env, "NODE_NAME=n1", "WEFT_CONFIG=/run/weft/weft.yaml")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.image.root}
	return cmd
}

// do runs a command to its end.
func (c *container) do(args ...string) (string, error) {
	cmd := c.command(args...)
	var out []byte
	var err error
	done := make(chan struct{})
	c.jobs <- func() { out, err = cmd.CombinedOutput(); close(done) }
	<-done
	return string(out), err
}

func (c *container) says(want string, args ...string) {
	c.t.Helper()
	if out, err := c.do(args...); err != nil || !strings.Contains(out, want) {
		c.t.Errorf("%v: %v\n%s\nwant %q", args, err, out, want)
	}
}

const configuration = `static:
  addresses: [192.0.2.1]
  services:
  - name: web
    nodePort: 30000
    endpoints: [{address: 198.51.100.1, port: 80}, {address: 198.51.100.2, port: 80}]
`

func TestImage(t *testing.T) {
	i := build(t)
	i.isSmall(t)
	c := i.start(t)
	for name, text := range map[string]string{"weft.yaml": configuration} {
		if err := os.WriteFile(filepath.Join(c.run, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	weft := i.entrypoint[0]
	c.says("nftables v", "/usr/sbin/nft", "--version")
	c.says("weft ", weft, "version")

	cmd := c.command(append(i.entrypoint, i.cmd...)...)
	var log strings.Builder
	cmd.Stderr = &log
	started := make(chan error, 1)
	c.jobs <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	ended := false
	end := func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, &log)
			}
		}
	}
	t.Cleanup(end)
	c.rights(cmd.Process.Pid)
	c.healthy(weft)
	c.says("198.51.100.1", "/usr/sbin/nft", "list", "table", "ip", "weft")
	c.says("1 ServicePorts", weft, "verify")
	c.says("50% 198.51.100.1:80", weft, "explain", "tcp/30000")
	end()
	c.says("", weft, "cleanup")
	c.says("1 ServicePorts", weft, "apply", "--templates", "cascade")
	c.says("1 ServicePorts", weft, "verify")
}

// healthy waits until weft says that all is well.
func (c *container) healthy(weft string) {
	c.t.Helper()
	var out string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if out, err = c.do(weft, "status"); err == nil {
			return
		}
	}
	c.t.Fatalf("weft is not healthy:\n%s", out)
}

// rights must be those of the DaemonSet.
func (c *container) rights(pid int) {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, want := range []string{"CapEff:\t0000000000001000", "CapBnd:\t0000000000001000", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(text), want) {
			c.t.Errorf("it has not %q:\n%s", want, text)
		}
	}
}

// isSmall holds that there is nothing in the image that nobody asked for.
func (i *image) isSmall(t *testing.T) {
	t.Helper()
	var size int64
	programs := map[string]bool{}
	err := filepath.WalkDir(i.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		if name := strings.TrimPrefix(path, i.root); info.Mode()&0o111 != 0 && !strings.Contains(name, ".so") {
			programs[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(programs) != 2 || !programs["/usr/bin/weft"] || !programs["/usr/sbin/nft"] {
		t.Errorf("programs: %v, want weft and nft", programs)
	}
	t.Logf("the image has %.1f MB", float64(size)/1e6)
	pem, err := os.ReadFile(filepath.Join(i.root, "etc/ssl/certs/ca-certificates.crt"))
	if pool := x509.NewCertPool(); err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Errorf("no certificates of authorities: %v", err)
	}
}
