package follow

import (
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"os"
	"syscall"
	"time"
)

// racy is how young a file's time may be at a look before it proves nothing: a
// second write within the clock's tick leaves the same time.
const racy = time.Second

// sight is what a look saw, as hashes that mean something to this process alone:
// nobody else's collisions can be made to order, and a state file of a large
// cluster is hashed in a seventh of the time that SHA-256 takes.
type sight struct {
	seed     maphash.Seed
	times    uint64 // names, inodes, sizes and times
	contents uint64 // names and bytes; how often they changed if that is not looked at
	settled  bool   // all files were older than racy
}

// sight looks at the files of a survey. It reads their contents if all is true,
// or if the files' times do not prove that they are as they were before, but never
// for who is eager. For that one it is proof enough that the times are the same and all
// was quiet: that it heard of nothing since.
func (s *survey) sight(before sight, all, eager, quiet bool) sight {
	now := sight{seed: before.seed, settled: true}
	times := newHash(now.seed)
	for _, f := range s.files {
		s.stat(f, times, &now)
	}
	now.times = times.Sum64()
	same := (before.settled || eager && quiet) && now.times == before.times
	switch {
	case same && (eager || !all):
		now.contents = before.contents
		return now
	case eager:
		now.contents = before.contents + 1
		return now
	}
	contents := newHash(now.seed)
	for _, f := range s.files {
		fmt.Fprintf(contents, "%q\n", f.name)
		read(f.real, contents)
	}
	now.contents = contents.Sum64()
	return now
}

func newHash(seed maphash.Seed) hash.Hash64 {
	h := &maphash.Hash{}
	h.SetSeed(seed)
	return h
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
