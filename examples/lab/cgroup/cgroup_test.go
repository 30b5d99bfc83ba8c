package cgroup

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// A process that would take a whole CPU gets what its group has.
func TestLimit(t *testing.T) {
	h := require(t)
	g, err := h.New(fmt.Sprintf("weft-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	const cpus = 0.1
	if err := g.Limit(cpus, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = busy.Process.Kill() // it runs
		_ = busy.Wait()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := g.Add(busy.Process.Pid); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	time.Sleep(time.Second)
	used, err := g.Used()
	if err != nil {
		t.Fatal(err)
	}
	// No lower bound that a busy machine could miss. The upper one allows for the
	// quotas of the periods in which it began and ended, and for a kernel that notices
	// the end of a quota at its tick of 10 ms.
	if most := time.Duration(cpus*float64(time.Since(began))) + 50*time.Millisecond; used <= 0 || used > most {
		t.Errorf("used %v in %v, want more than 0 and at most %v", used, time.Since(began), most)
	}
}

func require(t *testing.T) *Hierarchy {
	t.Helper()
	h, err := Open()
	switch {
	case err == nil && os.Geteuid() == 0:
		return h
	case os.Getenv("WEFT_REQUIRE_KERNEL") == "1":
		t.Fatalf("root with a cpu controller: %v, uid %d", err, os.Geteuid())
	default:
		t.Skipf("needs root and a cpu controller: %v", err)
	}
	return nil
}

func TestFind(t *testing.T) {
	v1 := func(at string, controllers ...string) *procfs.MountInfo {
		m := &procfs.MountInfo{FSType: "cgroup", MountPoint: at, SuperOptions: map[string]string{"rw": ""}}
		for _, c := range controllers {
			m.SuperOptions[c] = ""
		}
		return m
	}
	v2 := &procfs.MountInfo{FSType: "cgroup2", MountPoint: "/cg"}
	cases := []struct {
		name        string
		mounts      []*procfs.MountInfo
		controllers string
		want        *Hierarchy
	}{
		{"version 2", []*procfs.MountInfo{v2}, "cpuset cpu io\n", &Hierarchy{2, "/cg", "/cg"}},
		{"version 1, both together", []*procfs.MountInfo{v1("/a", "cpu", "cpuacct")}, "", &Hierarchy{1, "/a", "/a"}},
		{"version 1, apart, beside a version 2 without", []*procfs.MountInfo{v2, v1("/b", "cpuacct"), v1("/a", "cpu"), v1("/s", "cpuset")}, "hugetlb\n", &Hierarchy{1, "/a", "/b"}},
		{"a version 2 without", []*procfs.MountInfo{v2, v1("/s", "cpuset")}, "cpuset\n", nil},
		{"nothing", nil, "", nil},
	}
	for _, c := range cases {
		got, err := find(c.mounts, func(string) ([]byte, error) { return []byte(c.controllers), nil })
		if (err != nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	broken := func(string) ([]byte, error) { return nil, fs.ErrPermission }
	if _, err := find([]*procfs.MountInfo{v2}, broken); err == nil {
		t.Error("a version 2 that cannot be read was taken for one without controllers")
	}
}
