package apply

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// room is memory for the text of a state file: megabytes in a large cluster, for which
// there are few passes. It is taken from the kernel, in large pages where it has them. A
// pause leaves memory cold, and then each page has its price; to fill hundreds of small
// ones was a fifth of what a change of one share touched of the heap. Nobody may hold the text
// when the room is let go. The zero value is ready.
type room struct {
	memory []byte
	mapped bool
}

// largePage is the size of a large page where pages have 4 KiB, in bytes. Where others are
// larger or smaller, there are only fewer of them.
const largePage = 2 << 20

// read reads a file. The text is there until the next one is read.
func (r *room) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := int(info.Size()) + 1 // to see its end
	for {
		if err := r.make(size); err != nil {
			return nil, err
		}
		n, err := io.ReadFull(io.NewSectionReader(f, 0, int64(len(r.memory))), r.memory)
		if err == nil { // it grew meanwhile
			size = 2 * len(r.memory)
			continue
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		return r.memory[:n], err
	}
}

// make makes room for as many bytes, or more.
func (r *room) make(size int) error {
	if size <= len(r.memory) {
		return nil
	}
	r.letGo()
	if size < largePage/2 {
		r.memory = make([]byte, size+size/8)
		return nil
	}
	size = (size + size/8 + largePage - 1) / largePage * largePage
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	r.memory, r.mapped = memory, true
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE) // a kernel without them has small ones
	return nil
}

func (r *room) letGo() {
	if r.mapped {
		_ = unix.Munmap(r.memory) // it is what Mmap gave
	}
	*r = room{}
}
