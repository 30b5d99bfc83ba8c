package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folder is where the files of a cluster are. Its owner holds a lock in it, so
// that what a killed process left can be told from what is in use: a process id
// may be somebody else's by then.
type folder struct {
	path string
	lock *os.File
}

const folderPattern = "weft-cluster-"

// newFolder also takes away what killed processes left. Those that start at the
// same time wait for each other: a folder without a lock yet looks like one that
// was left.
func newFolder(parent string) (*folder, error) {
	gate, err := flock(parent, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	if err := sweep(parent); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(parent, folderPattern+"*")
	if err != nil {
		return nil, fmt.Errorf("make the cluster's folder: %w", err)
	}
	// Programs that run as somebody else find their files through it.
	if err := os.Chmod(path, 0o755); err != nil {
		return nil, fmt.Errorf("make the cluster's folder: %w", err)
	}
	lock, err := flock(path, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	return &folder{path, lock}, nil
}

func (f *folder) remove() error {
	return errors.Join(os.RemoveAll(f.path), f.lock.Close())
}

// sweep removes the folders that nobody holds.
func sweep(parent string) error {
	left, err := filepath.Glob(filepath.Join(parent, folderPattern+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		lock, err := flock(path, unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue // in use, or gone meanwhile
		}
		err = errors.Join(os.RemoveAll(path), lock.Close())
		if err != nil {
			return fmt.Errorf("remove what a killed run left: %w", err)
		}
	}
	return nil
}

// flock locks a folder through its own descriptor, which a removal does not
// leave behind as it would leave a file.
func flock(path string, how int) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
