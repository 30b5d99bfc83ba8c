package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

func TestSysctlOnReadOnlyProc(t *testing.T) {
	labtest.RequireKernel(t)
	root := t.TempDir() + "/"
	if err := os.WriteFile(filepath.Join(root, "ip_forward"), []byte("0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := lab.WriteSysctl(root, "ip_forward", "1"); err != nil {
		t.Fatal(err)
	}
	readOnly(t, root)
	if err := lab.WriteSysctl(root, "ip_forward", "1"); err != nil {
		t.Errorf("a value that is right already: %v", err)
	}
	for name, want := range map[string]string{"ip_forward": "is read-only here", "other": "this kernel has no"} {
		err := lab.WriteSysctl(root, name, "0")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error = %v, want one line with %q", name, err, want)
		}
	}
}

// readOnly mounts a folder over itself, read-only, until the end of the test.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}
