// Package replace puts a new file in an old one's place: whole or not at all.
//
// The temporary file is in the same folder, since a rename works only inside a file
// system, and is synced before, or a power cut could leave an empty file under the name.
// What is written comes in parts, so that megabytes of which little changed are not put
// together in memory once more; each is a system call, unless the content buffers them.
package replace

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// mode lets everybody read what weft writes, whatever the umask is.
const mode = 0o644

// File writes a file, and tells what it is like. After an error the old one is as it was.
func File(path string, content io.WriterTo) (os.FileInfo, error) {
	p, err := Write(path, content)
	if err != nil {
		return nil, err
	}
	return p.Replace()
}

// Pending is a file that is written, and not in the old one's place yet.
type Pending struct{ file *renameio.PendingFile }

// Write writes what is to be put in the place of a file. After an error there is nothing
// left of it.
func Write(path string, content io.WriterTo) (*Pending, error) {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return nil, err
	}
	if _, err = content.WriteTo(f); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Cleanup())
	}
	return &Pending{f}, nil
}

// Replace puts the file in its place, which takes microseconds, and tells what it was like
// before that: only the time of its last change is another now.
func (p *Pending) Replace() (os.FileInfo, error) {
	defer p.file.Cleanup() // after the replacement it does nothing
	info, err := p.file.Stat()
	if err != nil {
		return nil, err
	}
	return info, p.file.CloseAtomicallyReplace()
}
