package nft

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAvailableMemory(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"meminfo": "MemTotal:  9000 kB\nMemAvailable:   1000 kB\n", "cgroup": "0::/pods/one\n",
		"pods/memory.max": "600000\n", "pods/memory.current": "100000\n",
		"pods/one/memory.max": "max\n", "pods/one/memory.current": "50000\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(root, name) }
	for _, c := range []struct {
		name, meminfo, cgroup string
		want                  int64
	}{
		{"the outer group is the smallest", file("meminfo"), file("cgroup"), 500000},
		{"the machine", file("meminfo"), file("none"), 1000 << 10},
		{"nobody says", file("none"), file("none"), -1},
	} {
		if got := availableMemory(c.meminfo, c.cgroup, root); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
