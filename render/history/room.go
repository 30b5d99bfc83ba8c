package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// file is an entry as the folder holds it. err says why its first line cannot
// be read.
type file struct {
	id   uint64
	size int64
	head head
	err  error
}

// repeats reports whether e would say again what the file says, but for its
// time. A state is compared by its generation.
func (f file) repeats(e Entry) bool {
	h := f.head
	return f.err == nil && h.Result == e.Result && h.Generation == e.Generation && h.Set == e.Set &&
		h.Table == e.Table && h.Message == cut(e.Message) && h.Digest == digest(e.Text)
}

// survey is what the folder holds, by ID. A file that goes meanwhile is none.
func (l *Log) survey() ([]file, error) {
	if l.folder == "" {
		return nil, nil
	}
	names, err := os.ReadDir(l.folder) // sorted by name
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []file
	for _, n := range names {
		id, ok := parseName(n.Name())
		if !ok || !n.Type().IsRegular() {
			continue
		}
		info, err := n.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := file{id: id, size: info.Size()}
		f.head, f.err = readHead(filepath.Join(l.folder, n.Name()))
		if !errors.Is(f.err, os.ErrNotExist) {
			files = append(files, f)
		}
	}
	return files, nil
}

// makeRoom deletes the oldest entries until one of size bytes fits, the newest
// proven one last. If the entry to come is proven itself, no other is spared.
func (l *Log) makeRoom(files []file, size int64, proven bool) error {
	l.removeLeftovers()
	for _, f := range files {
		size += f.size
	}
	count := len(files) + 1
	for _, f := range victims(files, proven) {
		if count <= l.limits.Entries && size <= l.limits.Bytes {
			break
		}
		if err := os.Remove(filepath.Join(l.folder, fileName(f.id))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("let an old entry go: %w", err)
		}
		count, size = count-1, size-f.size
	}
	return nil
}

// victims is the order in which entries go.
func victims(files []file, proven bool) []file {
	spared := -1
	for i, f := range files {
		if f.err == nil && f.head.Result == Proven && !proven {
			spared = i
		}
	}
	if spared < 0 {
		return files
	}
	order := append([]file{}, files[:spared]...)
	order = append(order, files[spared+1:]...)
	return append(order, files[spared])
}

// leftover matches the temporary file of an entry, which a killed writer leaves.
var leftover = regexp.MustCompile(`^\.[0-9]{11,}$`)

func (l *Log) removeLeftovers() {
	names, err := os.ReadDir(l.folder)
	if err != nil {
		return
	}
	for _, n := range names {
		if leftover.MatchString(n.Name()) && n.Type().IsRegular() {
			_ = os.Remove(filepath.Join(l.folder, n.Name())) // it only takes up room
		}
	}
}
