// Package debian tests the Debian package: what is in it, what Debian's own lint
// says of it, and what it does to a machine that has systemd.
package debian

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab/labtest"
)

var update = flag.Bool("update", false, "write the golden list of files anew")

// build makes the package, in a folder of its own.
func build(t *testing.T) string {
	t.Helper()
	labtest.RequireTool(t, "dpkg-deb")
	folder := t.TempDir()
	cmd := exec.Command("./build", folder)
	cmd.Env = append(os.Environ(), "VERSION=1.2.3", "MAINTAINER=Maintainers of weft <weft@example.org>", "DPKG_DEB_COMPRESSOR_TYPE=gzip", "DPKG_DEB_COMPRESSOR_LEVEL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the package: %v\n%s", err, out)
	}
	paths, err := filepath.Glob(filepath.Join(folder, "weft_1.2.3_*.deb"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("built %v, %v", paths, err)
	}
	return paths[0]
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestPackage looks at the package, and then uses it.
func TestPackage(t *testing.T) {
	deb := build(t)
	t.Run("contents", func(t *testing.T) { contents(t, deb) })
	t.Run("lint", func(t *testing.T) {
		labtest.RequireTool(t, "lintian")
		if out := output(t, "lintian", "--fail-on", "error,warning", "--allow-root", deb); strings.TrimSpace(out) != "" {
			t.Errorf("lintian: %s", out)
		}
	})
	root := t.TempDir()
	output(t, "dpkg-deb", "-x", deb, root)
	t.Run("manual", func(t *testing.T) { manual(t, root) })
	t.Run("program", func(t *testing.T) {
		weft := filepath.Join(root, "usr/bin/weft")
		if out := output(t, "sh", "-c", "LC_ALL=C ldd "+weft+" 2>&1 || true"); !strings.Contains(out, "not a dynamic executable") {
			t.Errorf("it needs libraries: %s", out)
		}
		if out := output(t, weft, "config", "check", "--config", filepath.Join(root, "etc/weft/weft.yaml")); !strings.Contains(out, "good") {
			t.Errorf("its configuration: %s", out)
		}
	})
	t.Run("life", func(t *testing.T) { life(t, deb) })
	t.Run("again", func(t *testing.T) {
		one, err1 := os.ReadFile(deb)
		two, err2 := os.ReadFile(build(t))
		if string(one) != string(two) || err1 != nil || err2 != nil {
			t.Errorf("the same sources made another package: %v, %v", err1, err2)
		}
	})
}

// contents compares modes and names of files, but for the manual, with a list.
func contents(t *testing.T, deb string) {
	var list strings.Builder
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", deb)) {
		fields := strings.Fields(line)
		name := fields[5]
		if fields[1] != "root/root" {
			t.Errorf("%s belongs to %s", name, fields[1])
		}
		if !strings.HasSuffix(name, "/") && !strings.Contains(name, "/man8/weft-") {
			list.WriteString(fields[0] + " " + name + "\n")
		}
	}
	const golden = "testdata/contents.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), list.String()); diff != "" {
		t.Errorf("files: -want +got\n%s", diff)
	}
	if got := output(t, "dpkg-deb", "-f", deb, "Package", "Version", "Depends"); got != "Package: weft\nVersion: 1.2.3\nDepends: nftables (>= 1.0.6)\n" {
		t.Errorf("control: %s", got)
	}
}

// manual has man render each page: it must have nothing to complain of.
func manual(t *testing.T, root string) {
	labtest.RequireTool(t, "man")
	pages, err := filepath.Glob(filepath.Join(root, "usr/share/man/man8/*.gz"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		cmd := exec.Command("man", "--warnings=w", "-l", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MAN_KEEP_STDERR=1")
		var complaint strings.Builder
		cmd.Stderr = &complaint
		text, err := cmd.Output()
		name := strings.TrimSuffix(filepath.Base(page), ".8.gz")
		if err != nil || complaint.Len() > 0 || !strings.Contains(strings.Join(strings.Fields(string(text)), " "), "NAME "+name+" - ") || !strings.Contains(string(text), "SYNOPSIS") {
			t.Errorf("%s: %v %s\n%.500s", page, err, &complaint, text)
		}
	}
}
