package main

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab"
)

var update = flag.Bool("update", false, "write the golden files")

// paper is a lab without namespaces.
func paper() *lab.Lab {
	node := func(name, address string, pods ...*lab.Host) *lab.Node {
		return &lab.Node{Host: lab.Host{Host: name, IPv4: netip.MustParseAddr(address)}, Pods: pods}
	}
	pod := func(name, address string) *lab.Host {
		return &lab.Host{Host: name, IPv4: netip.MustParseAddr(address)}
	}
	return &lab.Lab{Nodes: []*lab.Node{
		node("node1", "10.34.4.141", pod("node1-a", "10.42.1.10")),
		node("node2", "10.34.4.142", pod("node2-a", "10.42.2.10"), pod("node2-b", "10.42.2.11")),
		node("node3", "10.34.4.143", pod("node3-a", "10.42.3.10"), pod("node3-b", "10.42.3.11")),
	}}
}

func TestConfig(t *testing.T) {
	cases := map[string]map[string]int{"first.yaml": firstWeights(), "second.yaml": secondWeights()}
	for name, weights := range cases {
		got, err := newConfig("/run/weft-demo", paper(), weights).text()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join("testdata", "configs", name), got)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestSaveReplacesTheFile(t *testing.T) {
	c := newConfig(t.TempDir(), paper(), firstWeights())
	for range 2 {
		if _, err := c.save(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(c.Dir)
	if err != nil || len(files) != 1 || files[0].Name() != "weft.yaml" {
		t.Errorf("files = %v, %v, want weft.yaml alone", files, err)
	}
}

func TestTable(t *testing.T) {
	c := newConfig("", paper(), firstWeights())
	got := map[string]int{"node1-a": 10, "node2-a": 51, "node2-b": 24, "node3-a": 15}
	golden(t, filepath.Join("testdata", "table.txt"), table(c.Endpoints, c.shares(), got))
}

func TestTimeline(t *testing.T) {
	c := newConfig("", paper(), firstWeights())
	killed := time.Date(2025, 11, 24, 12, 0, 0, 0, time.UTC)
	fell := killed.Add(2700 * time.Millisecond)
	var answers []lab.Answer
	for i := range 500 { // one each 10 ms, in turns
		name := c.Endpoints[i%4].Name
		answers = append(answers, lab.Answer{Name: name, Started: killed.Add(-before + time.Duration(i)*10*time.Millisecond)})
	}
	golden(t, filepath.Join("testdata", "timeline.txt"), timeline(c.Endpoints, answers, killed, fell))
}

func TestExplained(t *testing.T) {
	asked := map[string]float64{"a": 0.75, "b": 0.25}
	cases := []struct {
		name string
		got  map[string]int
		want string
	}{
		{"as asked", map[string]int{"a": 1500, "b": 500}, ""},
		{"equal", map[string]int{"a": 1000, "b": 1000}, "chance alone"},
		{"too few to tell", map[string]int{"a": 1}, ""},
		{"one is missing", map[string]int{"b": 2000}, "chance alone"},
		{"a stranger", map[string]int{"a": 1500, "b": 500, "c": 1}, "c got 1"},
	}
	for _, c := range cases {
		err := explained(asked, c.got)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFailures(t *testing.T) {
	answers := []lab.Answer{{Name: "a"}, {Err: errors.New("refused")}, {Err: errors.New("late")}}
	if err := failures(answers[:1]); err != nil {
		t.Errorf("no failure: %v", err)
	}
	if err := failures(answers); err == nil || err.Error() != "2 of 3 connections failed, the first: refused" {
		t.Errorf("error = %v, want the number and the first", err)
	}
}

// The lock tells whether the demo is up, not the process id in the file.
func TestClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	lock, err := claim(dir, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	if pid, up := owner(dir); pid != os.Getpid() || !up {
		t.Errorf("owner = %d, %v, want this process", pid, up)
	}
	if _, err := claim(dir, os.Stderr); err == nil || !strings.Contains(err.Error(), "make demo-down") {
		t.Errorf("second claim = %v, want the way out of it", err)
	}
	lock.Close()
	if _, up := owner(dir); up {
		t.Error("up without an owner")
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{7: "7", 999: "999", 1000: "1,000", 2034: "2,034", 123456: "123,456"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}
