// Package replace puts a new file in an old one's place: whole or not at all.
//
// The temporary file is in the same folder, since a rename works only inside a file
// system, and is synced before, or a power cut could leave an empty file under the name.
// What is written comes in parts, so that megabytes of which little changed are not put
// together in memory once more.
package replace

import (
	"bufio"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// mode lets everybody read what weft writes, whatever the umask is.
const mode = 0o644

// File writes a file, and tells what it is like. After an error the old one is as it was.
func File(path string, content io.WriterTo) (os.FileInfo, error) {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return nil, err
	}
	defer f.Cleanup() // after the replacement it does nothing
	w := bufio.NewWriterSize(f, 64<<10)
	if _, err = content.WriteTo(w); err == nil {
		err = w.Flush()
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return info, f.CloseAtomicallyReplace()
}
