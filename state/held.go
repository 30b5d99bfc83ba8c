package state

import (
	"os"
	"syscall"
)

// Held is a state and the file that a [Store] wrote of it. Whoever is in the same process
// need not read that file to know what it says, as long as it stands.
type Held struct {
	State *State

	file os.FileInfo
}

// Stands reports whether the file at the path is the one that was written. Somebody who
// writes into it within the same tick of the kernel's clock, and leaves its size, is not
// found out; the agent's file is not theirs to write.
func (h *Held) Stands(path string) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(h.file, now) && h.file.Size() == now.Size() && times(h.file) == times(now)
}

// heldBy is what a file holds that was just written as info tells; nil if somebody replaced
// or changed it already.
func heldBy(st *State, path string, info os.FileInfo) *Held {
	now, err := os.Stat(path)
	if err != nil || !os.SameFile(info, now) || info.Size() != now.Size() || !info.ModTime().Equal(now.ModTime()) {
		return nil
	}
	return &Held{st, now}
}

// times are those of the last change of a file's contents, and of anything about it.
func times(info os.FileInfo) (t [2]syscall.Timespec) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		t = [2]syscall.Timespec{st.Mtim, st.Ctim}
	}
	return t
}
