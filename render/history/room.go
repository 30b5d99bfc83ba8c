package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// file is an entry as the folder holds it. err says why its first line cannot
// be read.
type file struct {
	id   uint64
	size int64
	head head
	err  error
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
	return bereft(files), nil
}

// bereft says of entries that cannot be read because the one that they are made of
// is gone.
func bereft(files []file) []file {
	for i := range files {
		f := &files[i]
		if b := f.head.Base; f.err == nil && b != nil && (i == 0 || files[i-1].id != b.ID || files[i-1].err != nil) {
			f.err = fmt.Errorf("%s: entry %d, of which it is made: %w", fileName(f.id), b.ID, ErrNoEntry)
		}
	}
	return files
}

// groups are entries that go together: a whole one and those that are made of it.
func groups(files []file) [][]file {
	var list [][]file
	begin := 0
	for i := range files {
		if i > 0 && !files[i].isMadeOf(&files[i-1]) {
			list = append(list, files[begin:i:i])
			begin = i
		}
	}
	if begin < len(files) {
		list = append(list, files[begin:])
	}
	return list
}

func (f *file) isMadeOf(before *file) bool {
	return f.err == nil && before.err == nil && f.head.Base != nil && f.head.Base.ID == before.id
}

// makeRoom deletes the oldest groups until an entry of size bytes fits, the one
// with the newest proven entry last. If the entry to come is proven itself, no other
// is spared. The last group stays if joins is set, because the entry will be of it. It
// returns what is left, and whether the entry fits.
func (l *Log) makeRoom(files []file, size int64, proven, joins bool) ([]file, bool, error) {
	for _, f := range files {
		size += f.size
	}
	count := len(files) + 1
	gone := map[uint64]bool{}
	for _, group := range victims(groups(files), proven, joins) {
		if count <= l.limits.Entries && size <= l.limits.Bytes {
			break
		}
		for _, f := range slices.Backward(group) { // so that what is left can be read at any time
			if err := os.Remove(filepath.Join(l.folder, fileName(f.id))); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, false, fmt.Errorf("let an old entry go: %w", err)
			}
			gone[f.id] = true
			count, size = count-1, size-f.size
		}
	}
	left := files
	if len(gone) > 0 {
		left = slices.DeleteFunc(slices.Clone(files), func(f file) bool { return gone[f.id] })
	}
	return left, count <= l.limits.Entries && size <= l.limits.Bytes, nil
}

// victims is the order in which groups go.
func victims(list [][]file, proven, joins bool) [][]file {
	if joins {
		list = list[:len(list)-1]
	}
	spared := -1
	for i, group := range list {
		if !proven && slices.ContainsFunc(group, func(f file) bool { return f.err == nil && f.head.Result == Proven }) {
			spared = i
		}
	}
	if spared < 0 {
		return list
	}
	order := slices.Clone(list[:spared])
	order = append(order, list[spared+1:]...)
	return append(order, list[spared])
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
