package state

import (
	"io"
	"os"
	"strings"
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

// written is the file that a [Store] wrote, open to be read. It is nil if there is none.
type written struct {
	file *os.File
	info os.FileInfo
}

// openWritten opens what was just written as info tells; it is nil if somebody replaced or
// changed it already.
func openWritten(path string, info os.FileInfo) *written {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	now, err := f.Stat()
	if err != nil || !os.SameFile(info, now) || info.Size() != now.Size() || !info.ModTime().Equal(now.ModTime()) {
		_ = f.Close() // nothing was written to it
		return nil
	}
	return &written{f, now}
}

// isAsItWas reports whether nobody touched the file, wherever it is now.
func (w *written) isAsItWas() bool {
	if w == nil {
		return false
	}
	now, err := w.file.Stat()
	return err == nil && w.info.Size() == now.Size() && times(w.info) == times(now)
}

// text is what the file holds; nothing if there is none.
func (w *written) text() io.ReadSeeker {
	if w == nil {
		return strings.NewReader("")
	}
	return w.file
}

func (w *written) close() {
	if w != nil {
		_ = w.file.Close() // nothing was written to it
	}
}

// heldFor is a state that the file holds.
func (w *written) heldFor(st *State) *Held {
	if w == nil {
		return nil
	}
	return &Held{st, w.info}
}

// times are those of the last change of a file's contents, and of anything about it.
func times(info os.FileInfo) (t [2]syscall.Timespec) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		t = [2]syscall.Timespec{st.Mtim, st.Ctim}
	}
	return t
}
