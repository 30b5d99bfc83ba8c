package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Clusters that start at the same time leave each other's folders alone, and take
// away what a killed one left.
func TestFolders(t *testing.T) {
	parent := t.TempDir()
	left := filepath.Join(parent, folderPattern+"left")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for range 16 {
		g.Go(func() error {
			for range 20 {
				f, err := newFolder(parent)
				if err != nil {
					return err
				}
				_, err = os.Stat(f.path)
				if err := errors.Join(err, f.remove()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Errorf("%s is still there", left)
	}
}
