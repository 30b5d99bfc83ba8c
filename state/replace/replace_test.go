package replace

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// content is what a test writes, and the error after it.
type content struct {
	text string
	err  error
}

func (c content) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, c.text)
	return int64(n), errors.Join(err, c.err)
}

func TestFile(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	path := filepath.Join(t.TempDir(), "f")
	long := strings.Repeat("x", 200<<10)
	for _, c := range []struct {
		name    string
		content content
		want    string
	}{
		{"the first", content{text: "a"}, "a"},
		{"a long one", content{text: long}, long},
		{"one that fails at its end", content{text: "b", err: io.ErrUnexpectedEOF}, long},
		{"a long one that fails", content{text: long + long, err: io.ErrUnexpectedEOF}, long},
		{"nothing", content{}, ""},
	} {
		info, err := File(path, c.content)
		now, _ := os.Stat(path)
		if !errors.Is(err, c.content.err) || err == nil && (info.Size() != int64(len(c.want)) || !os.SameFile(info, now)) {
			t.Errorf("%s: %v, %v", c.name, info, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: the file has %d bytes (%v), want %d", c.name, len(got), err, len(c.want))
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != mode {
		t.Errorf("%v %v, want mode %o", info.Mode(), err, mode)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("%d files are left (%v)", len(list), err)
	}
}
