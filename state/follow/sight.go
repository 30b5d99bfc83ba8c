package follow

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"
	"time"
)

// racy is how young a file's time may be at a look before it proves nothing: a
// second write within the clock's tick leaves the same time.
const racy = time.Second

// sight is what a look saw, as hashes.
type sight struct {
	times    [sha256.Size]byte // names, inodes, sizes and times
	contents [sha256.Size]byte // names and bytes
	settled  bool              // all files were older than racy
}

// sight looks at the files of a survey. It reads their contents if all is true,
// or if the files' times do not prove that they are as they were before.
func (s *survey) sight(before sight, all bool) sight {
	now := sight{settled: true}
	times := sha256.New()
	for _, f := range s.files {
		s.stat(f, times, &now)
	}
	times.Sum(now.times[:0])
	if !all && before.settled && now.times == before.times {
		now.contents = before.contents
		return now
	}
	contents := sha256.New()
	for _, f := range s.files {
		fmt.Fprintf(contents, "%q\n", f.name)
		read(f.real, contents)
	}
	contents.Sum(now.contents[:0])
	return now
}

func (s *survey) stat(f file, into hash.Hash, now *sight) {
	info, err := os.Stat(f.real)
	if err != nil {
		fmt.Fprintf(into, "%q gone\n", f.name)
		return
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		now.settled = false
		return
	}
	changed := time.Unix(st.Ctim.Unix())
	now.settled = now.settled && time.Since(changed) > racy
	fmt.Fprintf(into, "%q %d %d %d %d %d\n", f.name, st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano())
}

// read hashes a file with its length, so that no file can pass for two.
func read(path string, into hash.Hash) {
	// Without O_NONBLOCK a pipe that has taken the file's place would hang us.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		fmt.Fprint(into, "gone\n")
		return
	}
	defer f.Close()
	n, err := io.Copy(into, f)
	fmt.Fprintf(into, "%d %t\n", n, err == nil)
}
