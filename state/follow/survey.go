package follow

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The limits of a survey: the kernel's own for symlinks, and one for folders in
// folders that no template set comes near.
const (
	maxLinks = 40
	maxDepth = 8
)

// survey is where paths lead at one moment.
type survey struct {
	folders map[string]fileID // every folder in which a change could lead them elsewhere
	files   []file            // regular files, by the names that they were found under
	// names are those of all that was passed on the way, without their folders: a folder
	// may have several names, of which inotify tells one.
	names map[string]bool
	// any says that a folder with all that is in it is followed: any name is on the way.
	any bool
}

type file struct{ name, real string }

// fileID tells two folders of the same name apart.
type fileID struct{ device, inode uint64 }

func newSurvey(paths []string) *survey {
	s := &survey{folders: map[string]fileID{}, names: map[string]bool{}}
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			s.follow(abs, abs, 0)
		}
	}
	return s
}

// follow resolves a path step by step. It needs the folder of every symlink on
// the way, since that is where the link can be swapped, and where the path ends
// too early, the last folder that there is, since that is where it can go on.
func (s *survey) follow(name, path string, depth int) {
	at, rest := "/", split(path)
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		s.names[rest[0]] = true
		info, err := os.Lstat(next)
		if err != nil {
			s.need(at)
			return
		}
		rest = rest[1:]
		if info.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		s.need(at)
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(split(target), rest...)
	}
	s.end(name, at, depth)
}

// passes reports whether what has the name can lead the paths elsewhere.
func (s *survey) passes(name string) bool { return s.any || s.names[filepath.Base(name)] }

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// end notes what a path led to.
func (s *survey) end(name, at string, depth int) {
	info, err := os.Stat(at)
	switch {
	case err != nil:
		s.need(filepath.Dir(at))
	case info.Mode().IsRegular():
		s.need(filepath.Dir(at))
		s.files = append(s.files, file{name, at})
	case info.IsDir():
		s.folder(name, at, depth)
	default:
		s.need(filepath.Dir(at)) // a pipe or a device would hang a reader
	}
}

// folder goes through a folder. Names that begin with .. are the kubelet's, and
// hold the files that the other names link to.
func (s *survey) folder(name, at string, depth int) {
	s.need(at)
	s.any = true
	if depth >= maxDepth {
		return
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return // gone meanwhile, which causes an event
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "..") {
			s.follow(filepath.Join(name, e.Name()), filepath.Join(at, e.Name()), depth+1)
		}
	}
}

func (s *survey) need(folder string) {
	if _, ok := s.folders[folder]; ok {
		return
	}
	info, err := os.Stat(folder)
	if err != nil || !info.IsDir() {
		return
	}
	s.folders[folder] = idOf(info)
}

func idOf(info os.FileInfo) fileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(st.Dev), st.Ino}
	}
	return fileID{}
}
